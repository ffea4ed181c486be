"""The part of logind that says whether a session is locked, played on a bus."""

import threading

from accessible import Gio, GLib, connected

MANAGER = """<node><interface name="org.freedesktop.login1.Manager">
  <method name="GetSession"><arg type="s" direction="in"/><arg type="o" direction="out"/></method>
</interface></node>"""
SESSION = """<node><interface name="org.freedesktop.login1.Session">
  <property name="LockedHint" type="b" access="read"/>
</interface></node>"""
PATH = "/org/freedesktop/login1"


class Logind:
    """Answers in a thread of its own."""

    def __init__(self, address):
        self.locked, self.context, ready = False, GLib.MainContext(), threading.Event()
        self.loop = GLib.MainLoop(self.context)
        self.thread = threading.Thread(target=self.run, args=(address, ready))
        self.thread.start()
        ready.wait()

    def run(self, address, ready):
        self.context.push_thread_default()
        self.bus = connected(address)
        for path, words in ((PATH, MANAGER), (f"{PATH}/session", SESSION)):
            [interface] = Gio.DBusNodeInfo.new_for_xml(words).interfaces
            self.bus.register_object(path, interface, self.session, self.hint, None)
        Gio.bus_own_name_on_connection(self.bus, "org.freedesktop.login1", Gio.BusNameOwnerFlags.NONE, None, None)
        source = GLib.idle_source_new()
        source.set_callback(lambda *_: ready.set())
        source.attach(self.context)
        self.loop.run()

    def session(self, _bus, _sender, _path, _interface, _method, _arguments, call):
        call.return_value(GLib.Variant("(o)", (f"{PATH}/session",)))

    def hint(self, *_):
        return GLib.Variant("b", self.locked)

    def lock(self, locked):
        """Lock or unlock the session."""
        self.locked = locked
        changed = ("org.freedesktop.login1.Session", {"LockedHint": GLib.Variant("b", locked)}, [])
        self.bus.emit_signal(
            None, f"{PATH}/session", "org.freedesktop.DBus.Properties", "PropertiesChanged", GLib.Variant("(sa{sv}as)", changed)
        )

    def end(self):
        self.loop.quit()
        self.thread.join()
