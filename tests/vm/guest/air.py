"""The air: emulated controllers for BlueZ and independent hosts beside them.

One Bumble link is the ether. On it are

  alpha, bravo   controllers that BlueZ drives through /dev/vhci, with extended advertising;
  phone          a Bumble host as an Android client of the coalition: a connectable advert of
                 31 bytes, and a scanner that records every payload it hears;
  others         iPhones, hostile hosts (hosts.py) and a keyboard (hid.py), which come and leave on order.

It is a separate process, because Python under emulation is slow and the bench must keep
watching. It takes orders and sends news as lines of JSON on one Unix socket:

    {"do": "plug", "name": "alpha"}        → {"done": "plug"}
    {"do": "plug", "name": "alpha", "ll_privacy": true}
    {"do": "unplug", "name": "alpha"}
    {"do": "phone"}
    {"do": "advertise", "tcn": "…", "interval": 100, "rssi": -61}
    {"do": "advertise-other", "interval": 100, "rssi": -61}
    {"do": "silence"}
    {"do": "iphone" | "written-iphone" | "hostile", "name": "anna", "address": "…"}
    {"do": "foreground", "name": "anna", "interval": 500, "rssi": -61}
    {"do": "hold" | "read", "name": "mallory"}
    {"do": "write", "name": "mallory", "what": "one byte", "value": "01", "offset": 0}
    {"do": "flood", "name": "mallory", "mark": "…", "count": 1000}
    {"do": "keyboard", "name": "keyboard", "address": "…"}
    {"do": "wake", "name": "keyboard", "interval": 50, "rssi": -61}
    {"do": "sleep", "name": "keyboard"}
    {"do": "press", "name": "keyboard", "number": 1}
    {"do": "type", "name": "keyboard", "first": 1, "count": 500, "interval": 20}
    {"do": "leave", "name": "anna"}
    news: {"who": "phone", "heard": "<payload>", "address": "…", "connectable": false} and others of hosts.py and hid.py

An order starts what a host does in the background; news tells when that is done.

This module corrects Bumble's controller (0.0.236) where it does not behave like a chip. Without
the corrections it reports each advert as connectable and at -50 dBm, with a scan response whether
or not one was asked for; a reset forgets nothing; enabling an enabled set doubles its timer; it
connects to devices that are not connectable or have gone; it cannot cancel a connection attempt;
it claims LL Privacy and has a resolving list that it never uses; and its link loses the packets of
a connection to an advertising set, which has a separate address.

    python3 air.py SOCKET
"""

import asyncio
import functools
import json
import os
import sys
import time

from bumble import crypto, hci, ll
from bumble.controller import AdvertisingSet, Controller
from bumble.hci import HCI_LE_Extended_Advertising_Report_Event as Report
from bumble.link import LocalLink
from bumble.transport import open_transport

from hid import Keyboard
from hosts import OTHER_ADVERT, Android, Hostile, Iphone, WrittenIphone

ADDRESSES = {"alpha": "00:1A:7D:00:00:0A", "bravo": "00:1A:7D:00:00:0B"}
PHONE_ADDRESS = "4B:5C:6D:7E:8F:90"  # a resolvable private address, as Android uses

DEFAULT_RSSI = -50
ACTIVE_SCAN = 1
RESOLVABLE_OR_RANDOM = 3
RESOLVABLE = (2, RESOLVABLE_OR_RANDOM)  # own address types: made by the controller, if it can
ADV_NONCONN_IND = Report.EventType.LEGACY_ADVERTISING_PDU_USED
ENHANCED_CONNECTION_COMPLETE = 1 << 9  # in the mask of LE events

# Bumble formats every event for a debug log that is off, field by field. In the guest that is most of
# the work that an advert makes.
hci.HCI_Event.__str__ = lambda event: event.name


class Ether(LocalLink):
    """A link that routes the packets of a connection by the two addresses it was made between.
    Bumble uses the sender's current random address. But an advertising set has a separate address,
    and a host with privacy changes its address while a connection lasts."""

    def end_of(self, address, peer):
        """The chip at this end of a connection, if it still is."""
        return next((c for c in self.controllers if (found := c.le_connections.get(peer)) and found.self_address == address), None)

    def send_acl_data(self, sender_controller, destination_address, transport, data):
        connection = sender_controller.le_connections.get(destination_address)
        if connection and (chip := self.end_of(destination_address, connection.self_address)):
            asyncio.get_running_loop().call_soon(chip.on_link_acl_data, connection.self_address, transport, data)

    def send_ll_control_pdu(self, sender_address, receiver_address, packet):
        if chip := self.end_of(receiver_address, sender_address):
            asyncio.get_running_loop().call_soon(chip.on_ll_control_pdu, sender_address, packet)

    def send_advertising_pdu(self, sender_controller, packet):
        if isinstance(packet, ll.ConnectInd):  # at once, while the set that was found open is
            for chip in self.controllers - {sender_controller}:
                chip.on_ll_advertising_pdu(packet)
        else:
            super().send_advertising_pdu(sender_controller, packet)


class ChipSet(AdvertisingSet):
    """An advertising set that, enabled twice, still sends once an interval."""

    @property
    def address(self):
        """The address it is sent under: the controller's own private address, if that was asked for and
        the peer's identity is on the resolving list; else the one that the host chose."""
        parameters = self.parameters
        if parameters and parameters.own_address_type in RESOLVABLE:
            peer = parameters.peer_address_type, parameters.peer_address
            own = self.controller.resolving.own_address(*peer)
            fallback = self.random_address if parameters.own_address_type == RESOLVABLE_OR_RANDOM else self.controller.public_address
            return own or fallback
        return super().address

    def start(self):
        self.stop()
        super().start()


class ResolvingList:
    """LL Privacy (Core Specification Vol 6 Part B 6 and Vol 4 Part E 7.8.38 to 7.8.45) as Zephyr's
    ull_filter.c and NimBLE's ble_ll_resolv.c implement it: each entry has a local private address,
    made from its local key. A new one is made when the timeout has passed, whatever is on the air.
    A new timeout applies from the next address on."""

    DEFAULT_TIMEOUT = 900  # seconds

    def __init__(self):
        self.entries, self.enabled, self.timeout = {}, False, self.DEFAULT_TIMEOUT

    @staticmethod
    def key(kind, address):
        return kind & 1, bytes(address)

    def add(self, kind, address, local_irk):
        self.entries[self.key(kind, address)] = {"irk": local_irk, "until": 0.0}

    def remove(self, kind, address):
        self.entries.pop(self.key(kind, address), None)

    def own_address(self, kind, address):
        """The local address towards this peer; None without an entry, or without a local key in it."""
        entry = self.entries.get(self.key(kind, address))
        if not entry or not any(entry["irk"]):
            return None
        if time.monotonic() >= entry["until"]:
            random = os.urandom(2) + bytes([os.urandom(1)[0] & 0x3F | 0x40])
            entry["address"] = hci.Address(crypto.ah(entry["irk"], random) + random, hci.Address.RANDOM_DEVICE_ADDRESS)
            entry["until"] = time.monotonic() + self.timeout
        return entry["address"]


class Chip(Controller):
    """Bumble's controller with the manners of a chip, with LL Privacy or without."""

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
        hci.HCI_LE_EXTENDED_CREATE_CONNECTION_COMMAND,
    }

    def __init__(self, *words, ll_privacy=False, **names):
        super().__init__(*words, **names)
        self.resolving = ResolvingList()
        if not ll_privacy:
            self.le_features &= ~hci.LeFeatureMask.LL_PRIVACY

    def on_hci_reset_command(self, command):
        self.resolving = ResolvingList()
        self.hang_up()
        for advert in self.advertising_sets.values():
            advert.stop()
        self.advertising_sets.clear()
        self.le_legacy_advertiser.stop()
        self.le_scan_enable = False
        return super().on_hci_reset_command(command)

    def leave(self):
        """Go off the air."""
        for advert in self.advertising_sets.values():
            advert.stop()
        self.hang_up()
        self.link.remove_controller(self)
        self.link = None  # what the host still wants to send is lost

    def on_hci_le_set_extended_advertising_parameters_command(self, command):
        self.advertising_sets.setdefault(command.advertising_handle, ChipSet(self, command.advertising_handle))
        return super().on_hci_le_set_extended_advertising_parameters_command(command)

    def event_type_of(self, pdu):
        """The properties that the host requested for the set that sends this."""
        for advert in self.advertising_sets.values():
            if advert.enabled and advert.address == pdu.advertiser_address:
                return int(advert.parameters.advertising_event_properties)
        return int(ADV_NONCONN_IND)

    def send_advertising_pdu(self, packet):
        packet.rssi, packet.event_type = self.rssi, self.event_type_of(packet)
        super().send_advertising_pdu(packet)

    # ---- LL Privacy

    def is_busy(self):
        """While it advertises, scans or connects, the resolving list in use may not change."""
        return bool(self.le_scan_enable or self.pending_le_connection or any(a.enabled for a in self.advertising_sets.values()))

    def change_resolving_list(self, change):
        """Performed, or refused as the specification says."""
        if self.resolving.enabled and self.is_busy():
            return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.COMMAND_DISALLOWED_ERROR)
        change()
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)

    def on_hci_le_add_device_to_resolving_list_command(self, command):
        return self.change_resolving_list(lambda: self.resolving.add(
            command.peer_identity_address_type, command.peer_identity_address, command.local_irk))

    def on_hci_le_remove_device_from_resolving_list_command(self, command):
        return self.change_resolving_list(lambda: self.resolving.remove(
            command.peer_identity_address_type, command.peer_identity_address))

    def on_hci_le_clear_resolving_list_command(self, _command):
        return self.change_resolving_list(self.resolving.entries.clear)

    def on_hci_le_set_address_resolution_enable_command(self, command):
        if self.is_busy():
            return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.COMMAND_DISALLOWED_ERROR)
        self.resolving.enabled = bool(command.address_resolution_enable)
        return super().on_hci_le_set_address_resolution_enable_command(command)

    def on_hci_le_set_resolvable_private_address_timeout_command(self, command):
        self.resolving.timeout = command.rpa_timeout
        return super().on_hci_le_set_resolvable_private_address_timeout_command(command)

    # ---- connections

    def on_hci_disconnect_command(self, command):
        """End a connection; tell the host that asked that it ended, and the other one why."""
        connection = self.find_le_connection_by_handle(command.connection_handle)
        if not connection:
            self._send_hci_command_status(hci.HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR, command.op_code)
            return
        self._send_hci_command_status(hci.HCI_COMMAND_STATUS_PENDING, command.op_code)
        connection.send_ll_control_pdu(ll.TerminateInd(command.reason))
        self.on_le_disconnected(connection, hci.HCI_ErrorCode.CONNECTION_TERMINATED_BY_LOCAL_HOST_ERROR)

    def hang_up(self):
        """End all connections without telling the host, which is gone or is about to forget them."""
        self.pending_le_connection = None
        for connection in self.le_connections.values():
            connection.send_ll_control_pdu(ll.TerminateInd(hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR))
        self.le_connections.clear()

    def accepts(self, address, initiator):
        """Whether a device can connect to this address now."""
        return initiator not in self.le_connections and any(
            advert.enabled and advert.address == address
            and advert.parameters.advertising_event_properties & Report.EventType.CONNECTABLE_ADVERTISING
            for advert in self.advertising_sets.values())

    def create_le_connection(self, peer_address):
        """Connect, unless the set has been removed since it sent what was heard: then the host would
        have a connection without a peer. The next advert, if one comes, will do."""
        own = self.pending_le_connection.own_address_type
        initiator = self.public_address if own == hci.OwnAddressType.PUBLIC else self.random_address
        if any(chip.accepts(peer_address, initiator) for chip in self.link.controllers - {self}):
            super().create_le_connection(peer_address)

    def on_hci_le_create_connection_cancel_command(self, command):
        """Cancel, and tell the host: the kernel waits for the event, and makes no other connection until it comes."""
        wanted, self.pending_le_connection = self.pending_le_connection, None
        if not wanted:
            return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.COMMAND_DISALLOWED_ERROR)
        asyncio.get_running_loop().call_soon(self.send_hci_packet, hci.HCI_LE_Connection_Complete_Event(
            status=hci.HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR,
            connection_handle=0,
            role=hci.Role.CENTRAL,
            peer_address_type=wanted.peer_address_type,
            peer_address=wanted.peer_address,
            connection_interval=0,
            peripheral_latency=0,
            supervision_timeout=0,
            central_clock_accuracy=0,
        ))
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)

    def send_hci_packet(self, packet):
        if isinstance(packet, hci.HCI_LE_Connection_Complete_Event) and self.le_event_mask & ENHANCED_CONNECTION_COMPLETE:
            packet = enhanced(packet)
        super().send_hci_packet(packet)

    # ---- scanning

    def on_hci_le_set_extended_scan_parameters_command(self, command):
        self.le_scan_type = command.scan_types[0]
        return super().on_hci_le_set_extended_scan_parameters_command(command)

    def on_advertising_pdu(self, pdu):
        if self.le_scan_enable:
            self.tell_host(pdu)
        wanted = self.pending_le_connection
        if wanted and wanted.peer_address == pdu.advertiser_address:
            self.create_le_connection(pdu.advertiser_address)

    def tell_host(self, pdu):
        self.send_report(pdu, pdu.event_type, pdu.data)
        if self.le_scan_type == ACTIVE_SCAN and pdu.event_type & Report.EventType.SCANNABLE_ADVERTISING:
            # The kernel holds a scannable advert back until it has this, even with nothing in it.
            self.send_report(pdu, pdu.event_type | int(Report.EventType.SCAN_RESPONSE), b"")

    def send_report(self, pdu, event_type, data):
        address = pdu.advertiser_address
        content = report(bytes(address), int(address.address_type), pdu.rssi, int(event_type), bytes(data))
        asyncio.get_running_loop().call_soon(self.host.on_packet, content)


@functools.lru_cache(maxsize=256)  # an advert is heard by several hosts, and many times
def report(address, address_type, rssi, event_type, data):
    """The bytes of the event by which a chip reports an advert to its host."""
    return bytes(Report([Report.Report(
        event_type=event_type,
        address_type=address_type,
        address=hci.Address(address, hci.AddressType(address_type)),
        primary_phy=hci.Phy.LE_1M,
        secondary_phy=0,
        advertising_sid=Report.NO_ADI_FIELD_PROVIDED,
        tx_power=Report.TX_POWER_INFORMATION_NOT_AVAILABLE,
        rssi=rssi,
        periodic_advertising_interval=0,
        direct_address_type=0,
        direct_address=hci.Address.ANY,
        data=data,
    )]))


def enhanced(packet):
    """The same event for a host that has asked for the newer form. The kernel waits only for the
    form it asked for; with the other, everything else waits until it gives up."""
    return hci.HCI_LE_Enhanced_Connection_Complete_Event(
        status=packet.status,
        connection_handle=packet.connection_handle,
        role=packet.role,
        peer_address_type=packet.peer_address_type,
        peer_address=packet.peer_address,
        local_resolvable_private_address=hci.Address.ANY_RANDOM,
        peer_resolvable_private_address=hci.Address.ANY_RANDOM,
        connection_interval=packet.connection_interval,
        peripheral_latency=packet.peripheral_latency,
        supervision_timeout=packet.supervision_timeout,
        central_clock_accuracy=packet.central_clock_accuracy,
    )


class Plugged:
    """A controller that BlueZ sees while the device file is open."""

    def __init__(self, link, name, ll_privacy):
        self.link, self.name, self.ll_privacy = link, name, ll_privacy

    async def plug(self):
        self.transport = await open_transport("vhci")
        self.chip = Chip(self.name, self.transport.source, self.transport.sink, self.link, ADDRESSES[self.name],
                         ll_privacy=self.ll_privacy)

    async def unplug(self):
        self.chip.leave()
        await self.transport.close()


class Air:
    """Takes the orders."""

    def __init__(self, tell):
        self.link, self.tell, self.plugged, self.hosts = Ether(), tell, {}, {}

    async def come(self, kind, name, address):
        """A new host on the air, listening."""
        chip = Chip(name, link=self.link, public_address=f"00:1A:7D:00:01:{len(self.hosts):02X}")
        self.hosts[name] = kind(name, address, chip, self.tell)
        await self.hosts[name].switch_on()

    async def obey(self, order):
        match order:
            case {"do": "plug", "name": name}:
                self.plugged[name] = Plugged(self.link, name, order.get("ll_privacy", False))
                await self.plugged[name].plug()
            case {"do": "unplug", "name": name}:
                await self.plugged.pop(name).unplug()
            case {"do": "phone"}:
                await self.come(Android, "phone", PHONE_ADDRESS)
            case {"do": "advertise", "tcn": tcn, "interval": interval, "rssi": rssi}:
                await self.hosts["phone"].say(bytes.fromhex(tcn), interval, rssi)
            case {"do": "advertise-other", "interval": interval, "rssi": rssi}:
                await self.hosts["phone"].advertise(OTHER_ADVERT, interval, rssi)
            case {"do": "silence"}:
                await self.hosts["phone"].silence()
            case {"do": "iphone" | "written-iphone" | "hostile" as kind, "name": name, "address": address}:
                await self.come({"iphone": Iphone, "written-iphone": WrittenIphone, "hostile": Hostile}[kind], name, address)
            case {"do": "foreground", "name": name, "interval": interval, "rssi": rssi}:
                await self.hosts[name].foreground(interval, rssi)
            case {"do": "hold" | "read" as what, "name": name}:
                self.hosts[name].begin(getattr(self.hosts[name], what)())
            case {"do": "write", "name": name, "what": what, "value": value, "offset": offset}:
                self.hosts[name].begin(self.hosts[name].write(what, bytes.fromhex(value), offset))
            case {"do": "flood", "name": name, "mark": mark, "count": count}:
                self.hosts[name].begin(self.hosts[name].flood(bytes.fromhex(mark), count))
            case {"do": "keyboard", "name": name, "address": address}:
                await self.come(Keyboard, name, address)
            case {"do": "wake", "name": name, "interval": interval, "rssi": rssi}:
                await self.hosts[name].wake(interval, rssi)
            case {"do": "sleep", "name": name}:
                await self.hosts[name].rest()
            case {"do": "press", "name": name, "number": number}:
                self.hosts[name].begin(self.hosts[name].press(number))
            case {"do": "type", "name": name, "first": first, "count": count, "interval": interval}:
                self.hosts[name].begin(self.hosts[name].type(first, count, interval))
            case {"do": "leave", "name": name}:
                await self.hosts.pop(name).switch_off()
            case _:
                raise ValueError(f"unknown order {order}")


async def main(path):
    reader, writer = await asyncio.open_unix_connection(path)
    # A chip answers whatever the processor does. The kernel gives up on one that takes two seconds
    # (HCI_CMD_TIMEOUT), and a busy guest made it wait as long.
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))

    def tell(news):
        writer.write(json.dumps(news).encode() + b"\n")

    air = Air(tell)
    async for line in reader:
        order = json.loads(line)
        await air.obey(order)
        tell({"done": order["do"]})


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
