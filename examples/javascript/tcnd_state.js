#!/usr/bin/env gjs
// Prints the state of tcnd, and each change of it.
//
//     gjs tcnd_state.js [ADDRESS]      ADDRESS: of the bus of tcnd, the system bus if not given
//
// Properties are public, so no permission is needed. See org.tcncoalition.Tcnd1(5).

const { Gio, GLib } = imports.gi;

const NAME = 'org.tcncoalition.Tcnd1';
const PATH = '/org/tcncoalition/Tcnd1';
const MANAGER = 'org.tcncoalition.Tcnd1.Manager';

// Prints a line. A property is null while tcnd is not running.
function show(manager) {
    const state = manager.get_cached_property('State');
    if (manager.get_name_owner() === null || state === null) {
        print('not running');
        return;
    }
    const problems = manager.get_cached_property('Problems').deepUnpack();
    print([state.deepUnpack(), ...problems].join(' '));
}

const flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION;
const bus = ARGV.length > 0
    ? Gio.DBusConnection.new_for_address_sync(ARGV[0], flags, null, null)
    : Gio.bus_get_sync(Gio.BusType.SYSTEM, null);
// The proxy keeps the properties up to date, also when tcnd ends and starts again. It never
// starts tcnd.
const manager = Gio.DBusProxy.new_sync(bus, Gio.DBusProxyFlags.DO_NOT_AUTO_START, null, NAME, PATH, MANAGER, null);
manager.connect('g-properties-changed', () => show(manager));
manager.connect('notify::g-name-owner', () => show(manager));
show(manager);
new GLib.MainLoop(null, false).run();
