"""The steps, in their order, by boot of the machine and message bus.

The host reads this to count the steps, the guest to run them. The root disk lasts from the first boot
to the last, so that each step finds what the earlier ones left.
"""

DAEMON, BROKER = "dbus.service", "dbus-broker.service"  # the unit that is the bus

BOOTS = [
    (DAEMON, ["fresh", "install", "documented", "idle", "activation", "callers", "kiosk", "consent", "on-the-air"]),
    (DAEMON, ["rebooted", "suspended", "forged-signal", "sealed", "remove", "upgrade", "purge"]),
    (BROKER, ["fresh", "install", "idle", "activation", "callers", "consent", "on-the-air", "purge"]),
]


def names(boot):
    """The steps of a boot as they are reported: those on the second bus are marked."""
    bus, steps = BOOTS[boot]
    return [step if bus == DAEMON else f"{step}-broker" for step in steps]
