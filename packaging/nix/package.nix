# tcnd for Nix: pkgs.callPackage ./package.nix { }. ../Makefile says where each file goes;
# below $out it is the same. For NixOS see module.nix.
{ lib, rustPlatform, pkg-config, dbus, python3 }:

rustPlatform.buildRustPackage {
  pname = "tcnd";
  version = "0.1.0";

  src = lib.cleanSource ../..;
  cargoLock.lockFile = ../../Cargo.lock;

  nativeBuildInputs = [ pkg-config python3 ];
  buildInputs = [ dbus ];

  # The tests need a bus, a kernel and a bluetoothd that a Nix build does not have.
  doCheck = false;

  # $releaseDir is where cargo's hook built. /usr and /etc come to stand below $out.
  installPhase = ''
    runHook preInstall
    make -C packaging install install-server install-indicator install-kiosk DESTDIR=$out BUILT=$PWD/$releaseDir \
      ZSH_COMPLETIONS=/usr/share/zsh/site-functions
    cp -r $out/usr/. $out/
    rm -r $out/usr
    substituteInPlace $out/lib/systemd/system/*.service --replace /usr/libexec/ $out/libexec/
    runHook postInstall
  '';

  meta = {
    description = "Contact tracing by Temporary Contact Numbers over Bluetooth";
    license = with lib.licenses; [ mit asl20 ];
    platforms = [ "x86_64-linux" "aarch64-linux" ];
    mainProgram = "tcnctl";
  };
}
