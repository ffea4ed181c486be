"""The air: emulated controllers for BlueZ and independent hosts beside them.

One Bumble link is the ether. On it are

  alpha, bravo   controllers that BlueZ drives through /dev/vhci, with extended advertising;
  phone          a Bumble host as an Android client of the coalition: a connectable advert of
                 31 bytes, and a scanner that takes down every payload it hears.

It is a process of its own, because Python under emulation is slow and the bench must go on
watching, and it takes orders and tells news as lines of JSON on one Unix socket:

    {"do": "plug", "name": "alpha"}        → {"done": "plug"}
    {"do": "unplug", "name": "alpha"}
    {"do": "advertise", "tcn": "…", "interval": 100, "rssi": -61}
    {"do": "silence"}
    news: {"heard": "<payload>", "address": "…", "connectable": false}

Bumble's controller is made to behave like a chip where it does not (0.0.236): it reports each
advert as connectable and at -50 dBm, with a scan response whether or not one was asked for; a
reset forgets nothing; enabling an enabled set doubles its timer.

    python3 air.py SOCKET
"""

import asyncio
import json
import sys

from bumble import hci
from bumble.controller import AdvertisingSet, Controller
from bumble.device import AdvertisingType, Device
from bumble.hci import HCI_LE_Extended_Advertising_Report_Event as Report
from bumble.link import LocalLink
from bumble.transport import open_transport
from bumble.transport.common import AsyncPipeSink

ADDRESSES = {"alpha": "00:1A:7D:00:00:0A", "bravo": "00:1A:7D:00:00:0B"}
PHONE_ADDRESS = "4B:5C:6D:7E:8F:90"  # a resolvable private address, as Android uses

# How the advert of the coalition's Android client begins. The client (tcn-client-android) asks for
# the service UUID and for service data of its TCN and the TCN's first four bytes; Android puts the
# flags (general discoverable) before them: 3 + 4 + 24 = 31 bytes.
ANDROID_HEAD = bytes.fromhex("020102" "030319c0" "171619c0")

DEFAULT_RSSI = -50
ACTIVE_SCAN = 1
ADV_NONCONN_IND = Report.EventType.LEGACY_ADVERTISING_PDU_USED


class ChipSet(AdvertisingSet):
    """An advertising set that, enabled twice, still sends once an interval."""

    def start(self):
        self.stop()
        super().start()


class Chip(Controller):
    """Bumble's controller with the manners of a chip."""

    rssi = DEFAULT_RSSI  # how strongly the others hear it
    # Implemented by Bumble but not claimed, which leaves the kernel with half of each.
    supported_commands = Controller.supported_commands | {
        hci.HCI_LE_SET_ADVERTISING_SET_RANDOM_ADDRESS_COMMAND,
        hci.HCI_LE_SET_EXTENDED_ADVERTISING_PARAMETERS_COMMAND,
        hci.HCI_LE_SET_EXTENDED_ADVERTISING_DATA_COMMAND,
        hci.HCI_LE_SET_EXTENDED_SCAN_RESPONSE_DATA_COMMAND,
        hci.HCI_LE_SET_EXTENDED_ADVERTISING_ENABLE_COMMAND,
        hci.HCI_LE_READ_MAXIMUM_ADVERTISING_DATA_LENGTH_COMMAND,
        hci.HCI_LE_READ_NUMBER_OF_SUPPORTED_ADVERTISING_SETS_COMMAND,
        hci.HCI_LE_REMOVE_ADVERTISING_SET_COMMAND,
        hci.HCI_LE_CLEAR_ADVERTISING_SETS_COMMAND,
        hci.HCI_LE_SET_EXTENDED_SCAN_PARAMETERS_COMMAND,
        hci.HCI_LE_SET_EXTENDED_SCAN_ENABLE_COMMAND,
    }

    def on_hci_reset_command(self, command):
        for advert in self.advertising_sets.values():
            advert.stop()
        self.advertising_sets.clear()
        self.le_legacy_advertiser.stop()
        self.le_scan_enable = False
        return super().on_hci_reset_command(command)

    def on_hci_le_set_extended_advertising_parameters_command(self, command):
        self.advertising_sets.setdefault(command.advertising_handle, ChipSet(self, command.advertising_handle))
        return super().on_hci_le_set_extended_advertising_parameters_command(command)

    def event_type_of(self, pdu):
        """The properties asked for by whoever programmed the set that sends this."""
        for advert in self.advertising_sets.values():
            if advert.enabled and advert.address == pdu.advertiser_address:
                return int(advert.parameters.advertising_event_properties)
        return int(ADV_NONCONN_IND)

    def send_advertising_pdu(self, packet):
        packet.rssi, packet.event_type = self.rssi, self.event_type_of(packet)
        super().send_advertising_pdu(packet)

    def on_hci_le_set_extended_scan_parameters_command(self, command):
        self.le_scan_type = command.scan_types[0]
        return super().on_hci_le_set_extended_scan_parameters_command(command)

    def on_advertising_pdu(self, pdu):
        if not self.le_scan_enable:
            return
        self.send_hci_packet(report(pdu, pdu.event_type, pdu.data))
        if self.le_scan_type == ACTIVE_SCAN and pdu.event_type & Report.EventType.SCANNABLE_ADVERTISING:
            # The kernel holds a scannable advert back until it has this, even with nothing in it.
            self.send_hci_packet(report(pdu, pdu.event_type | int(Report.EventType.SCAN_RESPONSE), b""))


def report(pdu, event_type, data):
    """The event by which a chip tells its host of an advert."""
    return Report([Report.Report(
        event_type=event_type,
        address_type=pdu.advertiser_address.address_type,
        address=pdu.advertiser_address,
        primary_phy=hci.Phy.LE_1M,
        secondary_phy=0,
        advertising_sid=Report.NO_ADI_FIELD_PROVIDED,
        tx_power=Report.TX_POWER_INFORMATION_NOT_AVAILABLE,
        rssi=pdu.rssi,
        periodic_advertising_interval=0,
        direct_address_type=0,
        direct_address=hci.Address.ANY,
        data=data,
    )])


class Plugged:
    """A controller that BlueZ has, while the device file is open."""

    def __init__(self, link, name):
        self.link, self.name = link, name

    async def plug(self):
        self.transport = await open_transport("vhci")
        self.chip = Chip(self.name, self.transport.source, self.transport.sink, self.link, ADDRESSES[self.name])

    async def unplug(self):
        for advert in self.chip.advertising_sets.values():
            advert.stop()
        self.link.remove_controller(self.chip)
        await self.transport.close()


class Phone:
    """The Android client: says its number, takes down what it hears."""

    def __init__(self, link, news):
        self.chip = Chip("phone", link=link, public_address="00:1A:7D:00:00:AA")
        self.device = Device.with_hci("phone", hci.Address(PHONE_ADDRESS), self.chip, AsyncPipeSink(self.chip))
        self.news, self.known = news, set()

    async def switch_on(self):
        await self.device.power_on()
        self.device.on("advertisement", self.hears)
        await self.device.start_scanning(active=False, filter_duplicates=False)

    def hears(self, advertisement):
        """Tell each payload under each address once."""
        sighting = (str(advertisement.address).split("/")[0], bytes(advertisement.data_bytes))
        if sighting not in self.known:
            self.known.add(sighting)
            self.news({"heard": sighting[1].hex(), "address": sighting[0], "connectable": advertisement.is_connectable})

    async def advertise(self, tcn, interval, rssi):
        await self.silence()
        self.chip.rssi = rssi
        await self.device.start_advertising(
            advertising_type=AdvertisingType.UNDIRECTED_CONNECTABLE_SCANNABLE,
            own_address_type=hci.OwnAddressType.RANDOM,
            advertising_data=ANDROID_HEAD + tcn + tcn[:4],
            advertising_interval_min=interval,
            advertising_interval_max=interval,
        )

    async def silence(self):
        if self.device.is_advertising:
            await self.device.stop_advertising()


class Air:
    """Takes the orders."""

    def __init__(self, tell):
        self.link, self.tell, self.plugged = LocalLink(), tell, {}
        self.phone = Phone(self.link, tell)

    async def obey(self, order):
        match order:
            case {"do": "plug", "name": name}:
                self.plugged[name] = Plugged(self.link, name)
                await self.plugged[name].plug()
            case {"do": "unplug", "name": name}:
                await self.plugged.pop(name).unplug()
            case {"do": "phone"}:
                await self.phone.switch_on()
            case {"do": "advertise", "tcn": tcn, "interval": interval, "rssi": rssi}:
                await self.phone.advertise(bytes.fromhex(tcn), interval, rssi)
            case {"do": "silence"}:
                await self.phone.silence()
            case _:
                raise ValueError(f"unknown order {order}")


async def main(path):
    reader, writer = await asyncio.open_unix_connection(path)

    def tell(news):
        writer.write(json.dumps(news).encode() + b"\n")

    air = Air(tell)
    async for line in reader:
        order = json.loads(line)
        await air.obey(order)
        tell({"done": order["do"]})


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
