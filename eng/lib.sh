# Shared by ./aperture and the scripts in lab/: messages, Debian packages, artefacts that never look complete when they are not.
# Sourced with $repo set to the checkout's root.

cache=$repo/.cache
artefacts=${APERTURE_LAB_DIR:-$cache/lab}
program=$repo/bin/aperture
arm64_program=$repo/bin/aperture-arm64

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

# system_release: the code name of this system's release of Debian.
system_release() { (. /etc/os-release && echo "${VERSION_CODENAME:-}"); }

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
        "as=binutils=assembles the emulator's probe" \
        "xz=xz-utils=unpacks a prepared lab kernel"
}

# The emulated arm64 machine, beside what ensure_lab_packages brings.
ensure_arm64_lab_packages() {
    ensure_lab_packages
    ensure "qemu-system-aarch64=qemu-system-arm=emulates the arm64 machine in which KVM is complete"
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

# What compiles the program ahead of time; it can do without.
ensure_native_packages() {
    ensure "gcc=gcc=links the program that is compiled ahead of time" \
        "/usr/include/stdio.h=libc6-dev=the C library for the same"
}

ensure_test_packages() {
    ensure_native_packages
    ensure "/usr/include/linux/kvm.h=linux-libc-dev=headers for the same" \
        "as=binutils=assembles bare-metal payloads" \
        "iasl=acpica-tools=checks the ACPI tables" \
        "dmidecode=dmidecode=checks the SMBIOS structures"
}

# native_compiler: true when .NET's ahead-of-time compiler is at hand, fetching it first. Without it the program is the same but starts slower, so its absence
# is no error, and a failed fetch is not repeated before the next day.
native_compiler() {
    local tried=$cache/native-compiler-tried
    if ! echo 'int main(void) { return 0; }' | gcc -x c -o "$cache/linked" - 2>/dev/null; then
        say "without gcc and the C library's headers the program is not compiled ahead of time and starts slower (apt-get install gcc libc6-dev)"
        return 1
    fi
    rm "$cache/linked"
    [ -z "$(find "$tried" -mtime -1 2>/dev/null)" ] || return 1
    timeout 300 dotnet restore "$repo/src/Aperture.Cli" -p:Native=true >"$cache/restore-native.log" 2>&1 </dev/null && return
    touch "$tried"
    say "the ahead-of-time compiler could not be fetched: the program starts slower without it (log: .cache/restore-native.log)"
    return 1
}

# can_install: true when packages can be installed here.
can_install() { [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null; }

# cross_options: sets the array of that name to what the build needs to make programs for arm64 here, after it was installed, or unpacked where nothing can be
# installed. An arm64 system needs nothing but its own compiler.
cross_options() {
    local folder=$cache/arm64-toolchain deb
    cross_options=(-p:RuntimeIdentifier=linux-arm64 -p:StaticExecutable=true -p:PositionIndependentExecutable=false)
    if [ "$(uname -m)" = aarch64 ]; then
        ensure_native_packages
        return
    fi
    cross_options+=(-p:CppCompilerAndLinker=aarch64-linux-gnu-gcc -p:ObjCopyName=aarch64-linux-gnu-objcopy)
    if can_install; then
        ensure "aarch64-linux-gnu-gcc=gcc-aarch64-linux-gnu=links programs for arm64" \
            "/usr/aarch64-linux-gnu/lib/libc.a=libc6-dev-arm64-cross=the C library for the same"
        return
    fi
    if [ ! -d "$folder" ]; then
        say "unpacking gcc-aarch64-linux-gnu and libc6-dev-arm64-cross, which nobody may install here"
        mkdir -p "$folder.part"
        "$repo/lab/fetch-suite" "$(system_release)" "$folder.part/packages" gcc-aarch64-linux-gnu libc6-dev-arm64-cross || exit
        for deb in "$folder.part"/packages/*.deb; do dpkg-deb -x "$deb" "$folder.part"; done
        rm -rf "$folder.part/packages"
        mv -T "$folder.part" "$folder"
    fi
    export PATH=$folder/usr/bin:$PATH LD_LIBRARY_PATH=$folder/usr/lib/x86_64-linux-gnu
    cross_options+=("-p:SysRoot=$folder")
}

# program_is_current STAMP [PROGRAM]: true when the program is there and no source is newer than the stamp.
program_is_current() {
    [ -x "${2:-$program}" ] && [ -f "$1" ] &&
        [ -z "$(cd "$repo" && find src Directory.Build.props Directory.Packages.props global.json .editorconfig \
            \( -name bin -o -name obj \) -prune -o -newer "$1" -print -quit)" ]
}

# build_arm64_program: makes bin/aperture-arm64, the same program for arm64 in one file that needs no library, where a source is newer.
build_arm64_program() {
    local stamp=$cache/built-arm64-program log=$cache/build-arm64-program.log made=$cache/arm64-program.new
    program_is_current "$stamp" "$arm64_program" && return
    mkdir -p "$cache" "${arm64_program%/*}"
    exec 9>"$cache/build.lock"
    flock 9
    touch "$stamp.started"
    cross_options 9>&-
    say "compiling the program for arm64, which takes a minute"
    rm -rf "$made"
    if ! dotnet msbuild "$repo/src/Aperture.Cli" -restore -t:Publish -p:_IsPublishing=true -p:Configuration=Release -p:Native=true "${cross_options[@]}" \
        -p:PublishDir="$made/" -v:quiet -nologo >"$log" 2>&1 </dev/null 9>&-; then
        cat "$log" >&2
        die "the build for arm64 failed; the log above is also in .cache/build-arm64-program.log."
    fi
    mv "$made/aperture" "$arm64_program"
    rm -rf "$made"
    mv "$stamp.started" "$stamp"
    exec 9>&-
}

# publish_arm64_tests PROJECT: the tests of that project as a program for arm64 with a runtime of its own, in .cache/arm64-tests/PROJECT.
publish_arm64_tests() {
    local log=$cache/build-arm64-tests.log
    mkdir -p "$cache/arm64-tests"
    dotnet msbuild "$repo/tests/$1" -restore -t:Publish -p:_IsPublishing=true -p:Configuration=Release -p:RuntimeIdentifier=linux-arm64 -p:SelfContained=true \
        -p:PublishDir="$cache/arm64-tests/$1/" -v:quiet -nologo >"$log" 2>&1 </dev/null && return
    cat "$log" >&2
    die "the tests of $1 could not be made for arm64; the log above is also in .cache/build-arm64-tests.log."
}

# build_program [assemblies]: makes bin/aperture, the program that users get, where a source is newer; or the same as assemblies in .cache/assemblies, which
# starts slower and can load code. Sets $program to it. The log is shown only if it fails.
build_program() {
    local project name=program
    local options=(-p:Native=true)
    [ "${1:-}" != assemblies ] || name=assemblies program=$cache/assemblies/aperture options=()
    local stamp=$cache/built-$name log=$cache/build-$name.log made=$cache/$name.new
    program_is_current "$stamp" && return
    mkdir -p "$cache"
    # One build at a time; whoever waited finds it done. The lock is not passed on: build servers outlive the build.
    exec 9>"$cache/build.lock"
    flock 9
    if program_is_current "$stamp"; then
        exec 9>&-
        return
    fi
    # Sources that change during the build are newer than this and get built the next time; folders count, so the build's own are made first.
    for project in "$repo"/src/*/; do mkdir -p "$project/bin" "$project/obj"; done
    touch "$stamp.started"
    [ $name = assemblies ] || native_compiler 9>&- || options=()
    say "building the program${options:+ and compiling it ahead of time, which takes a minute}"
    rm -rf "$made"
    # As "dotnet publish" does it, which leaves empty folders in /tmp. Restored already where it is compiled ahead of time.
    if ! dotnet msbuild "$repo/src/Aperture.Cli" -t:Publish -p:_IsPublishing=true -p:Configuration=Release "${options[@]:--restore}" \
        -p:PublishDir="$made/" -v:quiet -nologo >"$log" 2>&1 </dev/null 9>&-; then
        cat "$log" >&2
        die "the build failed; the log above is also in .cache/build-$name.log."
    fi
    # A program that runs meanwhile keeps its file; so does the one for arm64.
    rm -rf "$cache/$name.old"
    [ $name = assemblies ] || [ ! -e "$arm64_program" ] || mv "$arm64_program" "$made/"
    [ ! -d "${program%/*}" ] || mv "${program%/*}" "$cache/$name.old"
    mv "$made" "${program%/*}"
    rm -rf "$cache/$name.old"
    mv "$stamp.started" "$stamp"
    exec 9>&-
}

# True when this host's KVM runs 64-bit guests: the vendor's own module is there, not a paravirtual stand-in.
kvm_is_complete() {
    [ -r /dev/kvm ] && [ -w /dev/kvm ] && { [ -d /sys/module/kvm_intel ] || [ -d /sys/module/kvm_amd ]; } && [ ! -d /sys/module/kvm_pvm ]
}
