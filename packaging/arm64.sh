# To be sourced: makes cargo build for aarch64-unknown-linux-gnu on another machine, with
# Debian's compilers, because rustup's rustc has no library for another machine by default.
# shellcheck shell=bash
export RUSTC=/usr/bin/rustc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc AR_aarch64_unknown_linux_gnu=aarch64-linux-gnu-ar
export PKG_CONFIG_ALLOW_CROSS=1 PKG_CONFIG_LIBDIR=/usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig
if ! command -v aarch64-linux-gnu-gcc >/dev/null || [ ! -d /usr/lib/rustlib/aarch64-unknown-linux-gnu ]; then
  echo "no compilers for arm64; run: scripts/packages arm64" >&2
  exit 1
fi
