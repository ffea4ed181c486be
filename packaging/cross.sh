# To be sourced: makes cargo build for the processor $cpu of another machine, as Debian names
# it (aarch64, or arm for ARMv7 with hard float), and sets $target. It uses Debian's
# compilers, because rustup's rustc has no library for another machine by default.
# shellcheck shell=bash
case ${cpu:?} in
  aarch64) arch=arm64 target=aarch64-unknown-linux-gnu triplet=aarch64-linux-gnu ;;
  arm) arch=armhf target=armv7-unknown-linux-gnueabihf triplet=arm-linux-gnueabihf ;;
  *)
    echo "there is no cross build for $cpu" >&2
    exit 1
    ;;
esac
if ! command -v "$triplet-gcc" >/dev/null || [ ! -d "/usr/lib/rustlib/$target" ]; then
  echo "no compilers for $arch; run: scripts/packages $arch" >&2
  exit 1
fi
name=${target//-/_}
export RUSTC=/usr/bin/rustc PKG_CONFIG_ALLOW_CROSS=1
export "CARGO_TARGET_${name^^}_LINKER=$triplet-gcc" "CC_$name=$triplet-gcc" "AR_$name=$triplet-ar"
export "PKG_CONFIG_LIBDIR=/usr/lib/$triplet/pkgconfig:/usr/share/pkgconfig"
