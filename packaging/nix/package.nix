# tcnd for Nix: pkgs.callPackage ./package.nix { }. ../Makefile says where each file goes;
# below $out it is the same. For NixOS see module.nix.
{ lib, rustPlatform, pkg-config, dbus, python3, gtk4, libadwaita, wrapGAppsHook4
, withWindow ? true # the window, which needs GTK
}:

rustPlatform.buildRustPackage {
  pname = "tcnd";
  version = "0.1.0";

  src = lib.cleanSource ../..;
  cargoLock.lockFile = ../../Cargo.lock;

  nativeBuildInputs = [ pkg-config python3 ] ++ lib.optional withWindow wrapGAppsHook4;
  buildInputs = [ dbus ] ++ lib.optionals withWindow [ gtk4 libadwaita ];
  cargoBuildFlags = lib.optionals withWindow [ "--workspace" "--exclude=xtask" "--bins" ];

  # The tests need a bus, a kernel and a bluetoothd that a Nix build does not have.
  doCheck = false;

  # $releaseDir is where cargo's hook built. /usr and /etc come to stand below $out.
  installPhase = ''
    runHook preInstall
    make -C packaging install install-server install-indicator ${lib.optionalString withWindow "install-window"} install-kiosk DESTDIR=$out BUILT=$PWD/$releaseDir \
      ZSH_COMPLETIONS=/usr/share/zsh/site-functions
    cp -r $out/usr/. $out/
    rm -r $out/usr
    substituteInPlace $out/lib/systemd/system/*.service --replace /usr/libexec/ $out/libexec/
    ${lib.optionalString withWindow "substituteInPlace $out/share/dbus-1/services/*.service --replace /usr/bin/ $out/bin/"}
    runHook postInstall
  '';

  # Of all programs, the window alone finds what GTK needs by its environment.
  dontWrapGApps = true;
  postFixup = lib.optionalString withWindow "wrapGApp $out/bin/tcnd-window";

  meta = {
    description = "Contact tracing by Temporary Contact Numbers over Bluetooth";
    license = with lib.licenses; [ mit asl20 ];
    platforms = [ "x86_64-linux" "aarch64-linux" ];
    mainProgram = "tcnctl";
  };
}
