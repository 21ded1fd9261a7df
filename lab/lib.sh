# Shared by ./aperture and the scripts in lab/: messages, Debian packages, artefacts that never look complete when they are not.
# Sourced with $repo set to the checkout's root.

cache=$repo/.cache
artefacts=${APERTURE_LAB_DIR:-$cache/lab}

say() { printf 'aperture: %s\n' "$*" >&2; }

die() {
    say "$*"
    exit 3
}

# as_root COMMAND...: directly as root, else through sudo.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "'$*' needs root and there is no sudo: run it as root, then try again."
    fi
}

# Waits for another apt (unattended upgrades) instead of failing on its lock.
apt_options=(-o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -qq)

apt_lists_present() {
    compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null
}

apt_update() {
    say "updating the package lists (apt-get update)"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get "${apt_options[@]}" update </dev/null >&2
    apt_updated=1
}

# Quiet unless it fails.
apt_install() {
    local log=$cache/apt.log
    mkdir -p "$cache"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get "${apt_options[@]}" install -y --no-install-recommends "$@" \
        </dev/null >"$log" 2>&1 8>&- 9>&- && return
    cat "$log" >&2
    return 1
}

# download_deb PACKAGE FOLDER: fetches the package's file into the folder, without installing it.
download_deb() {
    apt_lists_present || apt_update
    # With the default sandbox user apt warns that it cannot write there.
    (cd "$2" && apt-get "${apt_options[@]}" -o APT::Sandbox::User="$(id -un)" download "$1") </dev/null >&2
}

# ensure WHAT=PACKAGE=WHY...: installs the packages whose command (a name) or file (a path) is absent.
ensure() {
    local need what package why missing=()
    for need in "$@"; do
        IFS='=' read -r what package why <<<"$need"
        if [[ $what == /* ]] && compgen -G "$what" >/dev/null; then continue; fi
        if [[ $what != /* ]] && PATH=$PATH:/usr/sbin:/sbin command -v "$what" >/dev/null; then continue; fi
        [[ " ${missing[*]} " == *" $package "* ]] && continue
        missing+=("$package")
        say "missing: $package ($why)"
    done
    [ ${#missing[@]} -eq 0 ] && return
    command -v apt-get >/dev/null || die "this is not a Debian system: install the counterparts of ${missing[*]}, then try again."
    say "installing ${missing[*]} with apt-get"
    apt_updated=
    apt_lists_present || apt_update
    apt_install "${missing[@]}" && return
    [ -z "$apt_updated" ] && apt_update && apt_install "${missing[@]}" && return
    die "apt-get could not install ${missing[*]}; its messages are above."
}

# What each purpose needs beyond git and the .NET SDK.
ensure_guest_packages() {
    ensure "/bin/busybox=busybox-static=the demo guest's user space" \
        "lspci=pciutils=the demo guest reads its own PCI view with lspci" \
        "/usr/share/misc/pci.ids=pci.ids=names for the guest's lspci" \
        "cpio=cpio=packs the guests' initial file systems"
}

ensure_lab_packages() {
    ensure "qemu-system-x86_64=qemu-system-x86=emulates the machine in which KVM is complete" \
        "/bin/busybox=busybox-static=the emulated machine's first process" \
        "cpio=cpio=packs the guests' initial file systems" \
        "xz=xz-utils=unpacks a prepared lab kernel"
}

# Firmware to run guests through.
ensure_boot_firmware() {
    ensure "/usr/share/seabios/bios-256k.bin=seabios=a PC BIOS for guests" \
        "/usr/share/qemu/linuxboot_dma.bin=qemu-system-data=starts --kernel under SeaBIOS" \
        "/usr/share/OVMF/OVMF_CODE_4M.fd=ovmf=UEFI firmware for guests"
}

# The same, and what makes a disk that both kinds boot.
ensure_firmware_packages() {
    ensure_boot_firmware
    ensure "grub-mkrescue=grub-common=makes the bootable disk image" \
        "/usr/lib/grub/i386-pc/boot.img=grub-pc-bin=GRUB for a PC BIOS" \
        "/usr/lib/grub/x86_64-efi/linux.mod=grub-efi-amd64-bin=GRUB for UEFI" \
        "/usr/lib/grub/i386-efi/linux.mod=grub-efi-ia32-bin=GRUB for UEFI of 32-bit processors" \
        "xorriso=xorriso=writes the image" \
        "mformat=mtools=writes the image's EFI partition"
}

ensure_test_packages() {
    ensure "gcc=gcc=compares structures with the kernel's headers" \
        "/usr/include/stdio.h=libc6-dev=headers for the same" \
        "/usr/include/linux/kvm.h=linux-libc-dev=headers for the same" \
        "as=binutils=assembles bare-metal payloads" \
        "iasl=acpica-tools=checks the ACPI tables"
}

# fetch_native: puts the compiler that src/Aperture.Cli/ReadyToRun.targets uses into NuGet's folder. Without it the program only starts slower, so a failure
# is no error, and is not repeated before the next day.
fetch_native() {
    local packages=${NUGET_PACKAGES:-$HOME/.nuget/packages} tried=$cache/native-compiler-tried
    compgen -G "$packages/microsoft.netcore.app.crossgen2.linux-x64/*" >/dev/null && return
    [ -z "$(find "$tried" -mtime -1 2>/dev/null)" ] || return
    mkdir -p "$cache"
    touch "$tried"
    timeout 120 dotnet restore "$repo/src/Aperture.Cli" -p:FetchReadyToRun=true >/dev/null 2>&1 </dev/null ||
        say "the ahead-of-time compiler could not be fetched: the program starts slower without it"
}

# True when this host's KVM runs 64-bit guests: the vendor's own module is there, not a paravirtual stand-in.
kvm_is_complete() {
    [ -r /dev/kvm ] && [ -w /dev/kvm ] && { [ -d /sys/module/kvm_intel ] || [ -d /sys/module/kvm_amd ]; } && [ ! -d /sys/module/kvm_pvm ]
}
