"""The steps, in their order, by machine, which is named after its message bus, and by boot of it.

The host reads this to count the steps, the guest to run them. The root disk of a machine lasts from its
first boot to its last, so that each step finds what the earlier ones left.
"""

DAEMON, BROKER = "dbus-daemon", "dbus-broker"

MACHINES = {
    DAEMON: [
        ["fresh", "install", "documented", "idle", "activation", "callers", "kiosk", "consent", "on-the-air", "page"],
        ["rebooted", "suspended", "forged-signal", "sealed", "upgrade", "remove", "purge"],
    ],
    BROKER: [
        ["fresh", "install", "idle", "activation", "callers", "consent", "on-the-air", "purge"],
    ],
}
UNITS = {DAEMON: "dbus.service", BROKER: "dbus-broker.service"}  # the unit that is the bus


def names(bus, boot):
    """The steps of a boot as they are reported: those on dbus-broker are marked."""
    return [step if bus == DAEMON else f"{step}-broker" for step in MACHINES[bus][boot]]
