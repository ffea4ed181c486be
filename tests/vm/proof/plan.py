"""What is shown, in this order, in which boot of the machine and on which message bus.

Read by the host, to count, and by the guest, to do it. The root disk lasts from the first boot to
the last, so that each step finds what those before it left.
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
