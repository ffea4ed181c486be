"""The recipes of the packages: that they agree with each other, and that their tools can read them."""

import json
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
RECIPES = PROJECT / "packaging"
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", "-i", "PATH=/usr/bin:/bin", "HOME=/nonexistent"]


def text(*parts):
    return PROJECT.joinpath(*parts).read_text()


def said(*command, **more):
    """What a command prints; if it fails, its error output is shown."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
    if done.returncode:
        raise AssertionError(f"{command[0]} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def srcinfo():
    """The PKGBUILD as makepkg reads it. makepkg refuses to run as root."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(RECIPES / "arch", Path(folder) / "arch"))
        for path in [Path(folder), copy, *copy.iterdir()]:
            shutil.chown(path, 65534, 65534)
        return said(*NOBODY, "makepkg", "--printsrcinfo", cwd=copy)


def evaluated(expression):
    """A Nix expression's value. Nixpkgs is not installed, so the parts that it uses are simulated."""
    return json.loads(said("nix-instantiate", "--eval", "--strict", "--json", "--store", "dummy://", "--expr", expression))


PLAYED = """
  lib = {
    cleanSource = path: path;
    optional = condition: item: if condition then [ item ] else [ ];
    optionals = condition: items: if condition then items else [ ];
    optionalString = condition: text: if condition then text else "";
    licenses = { mit = "mit"; asl20 = "asl20"; };
    mkEnableOption = what: { inherit what; };
    mkOption = option: option;
    mkIf = condition: value: if condition then value else { };
    mkMerge = builtins.foldl' merge { };
    types = { package = "package"; listOf = of: "list of ${of}"; };
  };
  merge = a: b: a // builtins.mapAttrs (name: value:
    if a ? ${name} && builtins.isAttrs value && !(value ? made) then merge a.${name} value else value) b;
  pkgs = {
    formats.toml = _: { type = "toml"; generate = name: value: { made = value; }; };
    callPackage = path: _: "the package";
  };
"""


class Versions(unittest.TestCase):
    def test_every_recipe_has_the_version_of_the_manifest(self):
        version = re.search(r'^version = "(.*)"$', text("Cargo.toml"), re.M)[1]
        found = {
            "debian/changelog": re.match(r"tcnd \((.*)\)", text("packaging", "debian", "changelog"))[1],
            "rpm/tcnd.spec": re.search(r"^Version: (.*)$", text("packaging", "rpm", "tcnd.spec"), re.M)[1],
            "rpm/tcnd.spec, %changelog": re.search(r"^\*.* - (.*)-1$", text("packaging", "rpm", "tcnd.spec"), re.M)[1],
            "arch/PKGBUILD": re.search(r"^pkgver=(.*)$", text("packaging", "arch", "PKGBUILD"), re.M)[1],
            "nix/package.nix": re.search(r'^  version = "(.*)";$', text("packaging", "nix", "package.nix"), re.M)[1],
        }
        self.assertEqual(found, dict.fromkeys(found, version))
        # The newest release of the changelog, if there was one. Before a release it says
        # what will be in it.
        released = re.findall(r"^## \[([0-9.]+)\]", text("CHANGELOG.md"), re.M)
        if "## [Unreleased]" not in text("CHANGELOG.md"):
            self.assertEqual(released[0], version)

    def test_the_compiler_is_the_one_of_the_manifest(self):
        rust = re.search(r'^rust-version = "(.*?)"', text("Cargo.toml"), re.M)[1]
        self.assertIn(f"BuildRequires: cargo >= {rust}\n", text("packaging", "rpm", "tcnd.spec"))
        self.assertIn(f"'cargo>={rust}'", text("packaging", "arch", "PKGBUILD"))


    def test_readme_names_the_compiler_of_the_manifest(self):
        rust = re.search(r'^rust-version = "(.*?)"', text("Cargo.toml"), re.M)[1]
        named = re.findall(r"Rust(?:\]\(\S+\))?\s+([0-9.]+[0-9])", text("README.md"))
        self.assertTrue(named)
        self.assertEqual(set(named), {rust})

    def test_every_recipe_has_the_maintainer_of_the_manifest(self):
        maintainer = re.search(r'^authors = \["(.*)"\]$', text("Cargo.toml"), re.M)[1]
        found = {
            "debian/control": re.search(r"^Maintainer: (.*)$", text("packaging", "debian", "control"), re.M)[1],
            "debian/changelog": re.search(r"^ -- (.*>)  ", text("packaging", "debian", "changelog"), re.M)[1],
            "rpm/tcnd.spec": re.search(r"^\* \w+ \w+ \d+ \d+ (.*) - ", text("packaging", "rpm", "tcnd.spec"), re.M)[1],
            "arch/PKGBUILD": re.search(r"^# Maintainer: (.*)$", text("packaging", "arch", "PKGBUILD"), re.M)[1],
        }
        self.assertEqual(found, dict.fromkeys(found, maintainer))


class Rpm(unittest.TestCase):
    def test_the_users_are_those_of_sysusers(self):
        lines = re.findall(r"^u .*$", text("packaging", "rpm", "tcnd.spec"), re.M)
        own = [line for path in sorted((PROJECT / "systemd" / "sysusers.d").iterdir())
               for line in re.findall(r"^u .*$", path.read_text(), re.M)]
        self.assertEqual(sorted(lines), sorted(own))

    def test_the_spec_can_be_read_with_and_without_programs(self):
        spec = RECIPES / "rpm" / "tcnd.spec"
        self.assertIn("cargo >= ", said("rpmspec", "--query", "--buildrequires", spec))
        self.assertEqual(said("rpmspec", "--query", "--buildrequires", "--define", "built /nowhere", spec), "")


class Arch(unittest.TestCase):
    def test_makepkg_reads_the_recipe(self):
        self.assertEqual(srcinfo().split("\n\n"), text("tests", "packages", "contents", "srcinfo").split("\n\n"))

    def test_the_shell_of_it_is_sound(self):
        # Of makepkg's own: variables it reads and sets, functions it calls under set -e.
        said("shellcheck", "--shell=bash", "--exclude=SC2034,SC2128,SC2154,SC2164", *(RECIPES / "arch").iterdir())


class Nix(unittest.TestCase):
    def package(self, more=""):
        return evaluated(f"""let {PLAYED} in import {RECIPES}/nix/package.nix {{
          inherit lib; pkg-config = "pkg-config"; dbus = "dbus"; python3 = "python3";
          gtk4 = "gtk4"; libadwaita = "libadwaita"; wrapGAppsHook4 = "wrapGAppsHook4"; {more}
          rustPlatform.buildRustPackage = it: removeAttrs it [ "src" "cargoLock" ];
        }}""")

    def test_the_package_evaluates(self):
        package = self.package()
        self.assertEqual(package["buildInputs"], ["dbus", "gtk4", "libadwaita"])
        self.assertEqual(package["meta"]["license"], ["mit", "asl20"])

    def test_without_the_window_it_needs_no_gtk(self):
        package = self.package("withWindow = false;")
        self.assertEqual((package["buildInputs"], package["cargoBuildFlags"]), (["dbus"], []))
        self.assertNotIn("window", json.dumps(package))
        self.assertNotIn("services/*", package["installPhase"])

    def module(self, services):
        return evaluated(f"""let {PLAYED}
          made = import {RECIPES}/nix/module.nix {{ inherit lib pkgs; config = {{ services = {services}; inherit (made.config) environment; }}; }};
        in made.config""")

    def test_the_module_sets_up_the_service(self):
        on = """{ tcnd = { enable = true; package = "tcnd"; settings.mode = "relay"; sources = [ { name = "a"; } ];
                    kiosk = { enable = true; settings.questions = "Ask."; }; };
                  tcn-reportd.enable = false; }"""
        config = self.module(on)
        self.assertEqual(config["environment"]["etc"], {
            "tcnd/config.d/nixos.toml": {"source": {"made": {"mode": "relay"}}},
            "tcnd/kiosk.toml": {"source": {"made": {"questions": "Ask."}}},
            "tcnd/sources.d/nixos.toml": {"source": {"made": {"source": [{"name": "a"}]}}},
        })
        self.assertEqual(sorted(config["users"]["users"]), ["tcnd", "tcnd-kiosk", "tcnd-sync"])
        self.assertEqual(config["systemd"]["timers"]["tcnd-kiosk"]["wantedBy"], ["timers.target"])
        self.assertEqual(config["services"]["dbus"]["packages"], ["tcnd"])
        self.assertEqual(config["systemd"]["packages"], ["tcnd"])
        self.assertEqual(config["systemd"]["services"]["tcnd"]["wantedBy"], ["multi-user.target"])
        self.assertEqual(config["systemd"]["timers"]["tcnd-sync"]["wantedBy"], ["timers.target"])
        self.assertTrue(config["security"]["polkit"]["enable"])

    def test_the_alias_is_the_one_of_the_unit(self):
        config = self.module('{ tcnd = { enable = true; package = "tcnd"; settings = { }; sources = [ ]; kiosk.enable = false; }; tcn-reportd.enable = false; }')
        alias = re.search(r"^Alias=(.*)$", text("systemd", "system", "tcnd.service"), re.M)[1]
        self.assertEqual(config["systemd"]["services"]["tcnd"]["aliases"], [alias])
        self.assertEqual(config["systemd"]["timers"]["tcnd-sync"]["wantedBy"], {}, "no source, no exchange")

    def test_the_module_sets_up_the_server_alone(self):
        config = self.module('{ tcnd.enable = false; tcn-reportd = { enable = true; package = "tcnd"; settings.listen = "[::]:80"; }; }')
        self.assertEqual(list(config["users"]["users"]), ["tcn-reportd"])
        self.assertEqual(config["environment"]["etc"]["tcnd/reportd.toml"]["source"]["made"], {"listen": "[::]:80"})


if __name__ == "__main__":
    unittest.main()
