# What lab/build-qemu builds beside the q35 board: the devices that the lab's command lines name (src/Aperture.Lab), and a display and disks for other
# uses of the emulator.
CONFIG_Q35=y
CONFIG_VTD=y
CONFIG_VIRTIO_PCI=y
CONFIG_VIRTIO_9P=y
CONFIG_VIRTIO_SERIAL=y
CONFIG_VIRTIO_BLK=y
CONFIG_VIRTIO_NET=y
CONFIG_PCIE_PORT=y
CONFIG_XIO3130=y
CONFIG_NVME_PCI=y
CONFIG_E1000E_PCI_EXPRESS=y
CONFIG_IGB_PCI_EXPRESS=y
CONFIG_EDU=y
CONFIG_PCI_TESTDEV=y
CONFIG_VGA_PCI=y
CONFIG_ISA_DEBUG=y
