"""A keyboard on the air: a Bumble peripheral with HID over GATT, as LE keyboards have it.

It bonds by Just Works and keeps the bond until it leaves. Its reports and its report map need an
encrypted link. Asleep, it is neither connected nor advertising. It differs from a real one in one point:
Bumble's server forgets with the connection who has subscribed to the reports, so that BlueZ has to
subscribe again each time, which it does (hog-lib.c, write_ccc).

Each key press has a number, which is typed as three letters held at once, so that a lost press is noticed.

Specifications: HID Service 1.0, HID over GATT Profile 1.0.
"""

import asyncio
import time

from bumble.gatt import Characteristic, Descriptor, Service
from bumble.pairing import PairingConfig, PairingDelegate
from bumble.profiles.gap import GenericAccessService

from hosts import Host

APPEARANCE = 961  # keyboard
BATTERY, DEVICE_INFORMATION, HID = "180F", "180A", "1812"
# Flags (general discoverable, no BR/EDR), the HID service, the appearance, the name.
ADVERT = bytes.fromhex("020106" "03031218" "0319c103" "0909") + b"keyboard"

# The boot keyboard of the HID specification (1.11, appendix B.1) without its LEDs: a byte of modifiers,
# a reserved one, six keys.
REPORT_MAP = bytes.fromhex(
    "05010906a101"
    "050719e029e71500250175019508" "8102"
    "95017508" "8101"
    "95067508150025650507" "19002965" "8100"
    "c0")
HID_INFORMATION = bytes.fromhex("1101" "00" "01")  # version 1.11, no country, wakes the computer
REPORT_PROTOCOL = b"\x01"
INPUT_REPORT = b"\x00\x01"  # the report reference: no report id, input
PNP_ID = bytes.fromhex("01" "ffff" "0100" "0100")  # an unassigned company
RELEASED = bytes(8)
FIRST_LETTER, LETTERS = 0x04, 26  # usage of "a"; a to z

Is, May = Characteristic.Properties, Characteristic.Permissions
READ_ENCRYPTED = May.READABLE | May.READ_REQUIRES_ENCRYPTION
WRITE_ENCRYPTED = May.WRITEABLE | May.WRITE_REQUIRES_ENCRYPTION


def report_of(number):
    """The report of a key press: its number in letters."""
    letters = (number % LETTERS, number // LETTERS % LETTERS, number // LETTERS ** 2 % LETTERS)
    return bytes([0, 0, *(FIRST_LETTER + letter for letter in letters), 0, 0, 0])


class Keyboard(Host):
    """A keyboard, awake or asleep."""

    bumble_gap = False  # its appearance is no keyboard's

    def __init__(self, *how):
        super().__init__(*how)
        self.connection = None
        self.report = Characteristic("2A4D", Is.READ | Is.NOTIFY, READ_ENCRYPTED, RELEASED,
                                     [Descriptor("2908", READ_ENCRYPTED, INPUT_REPORT)])
        self.report.on(Characteristic.EVENT_SUBSCRIPTION, lambda _, on, __: self.news(subscribed=on))
        self.device.add_services([
            GenericAccessService("keyboard", APPEARANCE),
            Service(DEVICE_INFORMATION, [Characteristic("2A50", Is.READ, READ_ENCRYPTED, PNP_ID)]),
            Service(BATTERY, [Characteristic("2A19", Is.READ | Is.NOTIFY, READ_ENCRYPTED, b"\x64")]),
            Service(HID, [
                Characteristic("2A4A", Is.READ, READ_ENCRYPTED, HID_INFORMATION),
                Characteristic("2A4B", Is.READ, READ_ENCRYPTED, REPORT_MAP),
                self.report,
                Characteristic("2A4E", Is.READ | Is.WRITE_WITHOUT_RESPONSE, READ_ENCRYPTED | WRITE_ENCRYPTED, REPORT_PROTOCOL),
                Characteristic("2A4C", Is.WRITE_WITHOUT_RESPONSE, WRITE_ENCRYPTED, b"\x00"),
            ])])
        # No identity key: its address is static.
        delegate = PairingDelegate(local_responder_key_distribution=PairingDelegate.KeyDistribution.DISTRIBUTE_ENCRYPTION_KEY)
        self.device.pairing_config_factory = lambda _: PairingConfig(mitm=False, delegate=delegate)

    async def switch_on(self):
        await self.device.power_on()

    async def switch_off(self):
        await self.rest()
        self.chip.leave()

    async def wake(self, interval, rssi):
        """Advertise until the computer connects."""
        await self.advertise(ADVERT, interval, rssi, again=False)

    def visited(self, connection):
        super().visited(connection)
        self.connection = connection
        connection.on(connection.EVENT_CONNECTION_ENCRYPTION_CHANGE, lambda: self.news(encrypted=bool(connection.encryption)))

    async def send(self, report):
        """Notify the computer of a report, if it has subscribed."""
        await self.device.notify_subscriber(self.connection, self.report, report)

    async def press(self, number):
        """Press a key, and release it."""
        await self.send(report_of(number))
        await self.send(RELEASED)

    async def type(self, first, count, interval):
        """Send reports at an interval in milliseconds, and tell when each was sent: under emulation some are late."""
        begin, sent = time.time(), []
        for number in range(count):
            await asyncio.sleep(begin + number * interval / 1000 - time.time())
            sent.append(time.time())
            await self.send(report_of(first + number))
        await self.send(RELEASED)
        self.news(typed=sent)
