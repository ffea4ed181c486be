# tcnd on NixOS:
#
#   imports = [ ./tcnd/packaging/nix/module.nix ];
#   services.tcnd.enable = true;
#   users.users.YOU.extraGroups = [ "tcnd" ];
#
# Then, as YOU: tcnctl enable. Before that tcnd broadcasts nothing, unless the settings consent.
{ config, lib, pkgs, ... }:

let
  cfg = config.services.tcnd;
  server = config.services.tcn-reportd;
  toml = pkgs.formats.toml { };
  package = lib.mkOption {
    type = lib.types.package;
    default = pkgs.callPackage ./package.nix { withWindow = cfg.window.enable; };
    description = "The package to use.";
  };
  user = name: {
    users.users.${name} = {
      isSystemUser = true;
      group = name;
      home = "/var/lib/${name}";
    };
    users.groups.${name} = { };
  };
in
{
  options.services.tcnd = {
    enable = lib.mkEnableOption "contact tracing by Temporary Contact Numbers over Bluetooth";
    inherit package;
    settings = lib.mkOption {
      type = toml.type;
      default = { };
      example = { mode = "relay"; retention = "6h"; };
      description = "Settings, as config.d/tcnd.toml explains them. `enabled = true` consents for all users.";
    };
    sources = lib.mkOption {
      type = lib.types.listOf toml.type;
      default = [ ];
      example = [ { name = "example"; kind = "coepi-v4"; url = "https://reports.example.org/v4/tcnreport/0.4.0"; } ];
      description = "Where reports of others come from. With at least one source, tcnd-sync runs from time to time.";
    };
    window.enable = lib.mkEnableOption "the window, tcnd-window, which needs GTK";
    kiosk.enable = lib.mkEnableOption "the page of a kiosk, /run/tcnd-kiosk/index.html";
    kiosk.settings = lib.mkOption {
      type = toml.type;
      default = { };
      example = { questions = "Ask at the desk."; };
      description = "Settings of the page, as kiosk.toml explains them.";
    };
  };

  options.services.tcn-reportd = {
    enable = lib.mkEnableOption "the report server of Temporary Contact Numbers";
    inherit package;
    settings = lib.mkOption {
      type = toml.type;
      default = { };
      example = { listen = "127.0.0.1:8080"; };
      description = "Settings, as reportd.toml explains them. Every user can read them, so do not put keys here.";
    };
  };

  config = lib.mkMerge [
    (lib.mkIf cfg.enable (lib.mkMerge [
      (user "tcnd")
      (user "tcnd-sync")
      {
        environment.systemPackages = [ cfg.package ]; # tcnctl, and the actions for polkit
        environment.etc."tcnd/config.d/nixos.toml".source = toml.generate "tcnd.toml" cfg.settings;
        environment.etc."tcnd/sources.d/nixos.toml" = lib.mkIf (cfg.sources != [ ]) {
          source = toml.generate "tcnd-sources.toml" { source = cfg.sources; };
        };
        hardware.bluetooth.enable = true;
        security.polkit.enable = true;
        services.dbus.packages = [ cfg.package ];
        systemd.packages = [ cfg.package ];
        services.udev.packages = [ cfg.package ];
        # NixOS takes units from packages, but not what their [Install] says.
        systemd.services.tcnd = {
          wantedBy = [ "multi-user.target" ];
          aliases = [ "dbus-org.tcncoalition.Tcnd1.service" ];
          restartTriggers = [ config.environment.etc."tcnd/config.d/nixos.toml".source ];
        };
        systemd.timers.tcnd-sync.wantedBy = lib.mkIf (cfg.sources != [ ]) [ "timers.target" ];
        systemd.paths.tcnd-sync.wantedBy = lib.mkIf (cfg.sources != [ ]) [ "paths.target" ];
      }
    ]))
    (lib.mkIf (cfg.enable && cfg.kiosk.enable) (lib.mkMerge [
      (user "tcnd-kiosk")
      {
        environment.etc."tcnd/kiosk.toml".source = toml.generate "kiosk.toml" cfg.kiosk.settings;
        systemd.timers.tcnd-kiosk.wantedBy = [ "timers.target" ];
      }
    ]))
    (lib.mkIf server.enable (lib.mkMerge [
      (user "tcn-reportd")
      {
        environment.etc."tcnd/reportd.toml".source = toml.generate "reportd.toml" server.settings;
        systemd.packages = [ server.package ];
        systemd.services.tcn-reportd = {
          wantedBy = [ "multi-user.target" ];
          restartTriggers = [ config.environment.etc."tcnd/reportd.toml".source ];
        };
      }
    ]))
  ];
}
