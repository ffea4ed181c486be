"""The phones on the air: Bumble hosts that behave as the coalition's clients do, or as they must not.

  Android    a connectable advert of 31 bytes with service data, and a scanner. Never connects.
  Iphone     as a central it scans, and writes its own number to each device that sends 20 bytes of
             service data in a connectable advert, once for each short id (bytes 16 to 19). As a
             peripheral in the foreground it advertises the service alone, and answers each read
             with a fresh number.
  Hostile    connects and holds, writes nonsense, or writes without end.

Each host records what it hears, and reports that and all that it does through `news`. The iPhones
differ from real ones in one point: they try a write that was cut off again at the next advert, while
a real iPhone waits for the next short id. On an air this slow the result would depend on chance.
"""

import asyncio
import secrets

from bumble import att, gatt, hci
from bumble.core import UUID, AdvertisingData, BaseBumbleError
from bumble.device import AdvertisingType, Device, DeviceConfiguration, Peer
from bumble.transport.common import AsyncPipeSink

SERVICE, CHARACTERISTIC = UUID("C019"), UUID("D61F4F27-3D6B-4B04-9E46-C9D2EA617F62")

# How the advert of the coalition's Android client starts. The client (tcn-client-android) asks for
# the service UUID and for service data of its TCN and the TCN's first four bytes; Android puts the
# flags (general discoverable) before them: 3 + 4 + 24 = 31 bytes.
ANDROID_HEAD = bytes.fromhex("020102" "030319c0" "171619c0")
# The advert of an iPhone in the foreground: flags and TX power by iOS, the service by the client.
IPHONE_ADVERT = bytes.fromhex("02011a" "020a0c" "030319c0")
# Another service, Exposure Notification: flags, its UUID, and 20 bytes of its data.
OTHER_ADVERT = bytes.fromhex("02011a" "03036ffd" "17166ffd") + bytes(range(20))

TCN_SIZE, SERVICE_DATA_SIZE = 16, 20
CONNECT_TIMEOUT = 3  # seconds; an iPhone waits for eight, but here an address is gone after three
LEAVE_TIMEOUT = 5  # seconds until the peer disconnects
LONG_MTU = 517  # what an iPhone and BlueZ agree upon lets 300 bytes into one request
BETWEEN_NUMBERS = att.ErrorCode.WRITE_NOT_PERMITTED  # tcnd's answer after one of its numbers and before the next


class Handset(Device):
    """Bumble's device takes any connection for the one it is about to make, even one that a peer makes to it."""

    def emit(self, event, *facts, **more):
        incoming = event == "connection" and facts[0].role == hci.Role.PERIPHERAL
        return super().emit("visited" if incoming else event, *facts, **more)


class Host:
    """What all hosts have: a chip, a Bumble device, and a scanner."""

    bumble_gap = True  # whether Bumble adds the Generic Access service

    def __init__(self, name, address, chip, news):
        self.name, self.chip, self.tell = name, chip, news
        config = DeviceConfiguration(name=name, address=hci.Address(address), gap_service_enabled=self.bumble_gap)
        self.device = Handset.from_config_with_hci(config, chip, AsyncPipeSink(chip))
        self.device.on("visited", self.visited)
        self.known, self.tasks = set(), set()

    async def switch_on(self):
        await self.device.power_on()
        self.device.on("advertisement", self.hears)
        await self.device.start_scanning(active=False, filter_duplicates=False)

    async def switch_off(self):
        self.device.remove_listener("advertisement", self.hears)  # which begins new ones
        await self.rest()
        await self.device.stop_scanning()
        self.chip.leave()

    async def rest(self):
        """End all that this host does but scanning."""
        for task in self.tasks:
            task.cancel()
        for connection in list(self.device.connections.values()):
            await leave(connection)
        await self.silence()

    def news(self, **facts):
        self.tell({"who": self.name, **facts})

    def begin(self, work):
        """Do something in the background; report the error that ends it."""
        async def guarded():
            try:
                await work
            except Exception as error:
                self.news(broke=f"{type(error).__name__}: {error}")
        task = asyncio.create_task(guarded())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def visited(self, connection):
        self.news(visited=text(connection.peer_address))

    def hears(self, advertisement):
        """Report each payload under each address once."""
        sighting = (text(advertisement.address), bytes(advertisement.data_bytes))
        if sighting not in self.known:
            self.known.add(sighting)
            self.news(heard=sighting[1].hex(), address=sighting[0], connectable=advertisement.is_connectable)

    async def advertise(self, payload, interval, rssi, again=True):
        """Advertise until a device connects, and perhaps again after it has gone."""
        await self.silence()
        self.chip.rssi = rssi
        await self.device.start_advertising(
            advertising_type=AdvertisingType.UNDIRECTED_CONNECTABLE_SCANNABLE,
            own_address_type=hci.OwnAddressType.RANDOM,
            auto_restart=again,
            advertising_data=payload,
            advertising_interval_min=interval,
            advertising_interval_max=interval,
        )

    async def silence(self):
        if self.device.is_advertising:
            await self.device.stop_advertising()

    async def connect(self, address):
        """A connection, and the number's characteristic on it."""
        connection = await answered(self.device.connect(address, timeout=CONNECT_TIMEOUT))
        try:
            return connection, await asked(connection, characteristic(Peer(connection)))
        except BaseException:
            await leave(connection)
            raise


class Client(Host):
    """A host that has the coalition's service."""

    def __init__(self, *how):
        super().__init__(*how)
        self.device.add_service(gatt.Service(SERVICE, [gatt.Characteristic(
            CHARACTERISTIC,
            gatt.Characteristic.Properties.READ | gatt.Characteristic.Properties.WRITE,
            gatt.Characteristic.READABLE | gatt.Characteristic.WRITEABLE,
            gatt.CharacteristicValue(read=self.was_read, write=self.was_written))]))

    def was_written(self, connection, value):
        self.news(written=value.hex(), by=text(connection.peer_address))


class Android(Client):
    """Airs its number, records what it hears, and does not answer a device that reads from it."""

    async def was_read(self, connection):
        self.news(read="", by=text(connection.peer_address))
        await asyncio.Future()

    async def say(self, tcn, interval, rssi):
        await self.advertise(ANDROID_HEAD + tcn + tcn[:4], interval, rssi)


class Iphone(Client):
    """The iOS client, in both of its roles."""

    def __init__(self, *how):
        super().__init__(*how)
        self.short_ids, self.busy = set(), False

    async def foreground(self, interval, rssi):
        await self.advertise(IPHONE_ADVERT, interval, rssi)

    def was_read(self, connection):
        tcn = secrets.token_bytes(TCN_SIZE)
        self.news(read=tcn.hex(), by=text(connection.peer_address))
        return tcn

    def hears(self, advertisement):
        super().hears(advertisement)
        short_id = short_id_of(advertisement)
        if short_id and not self.busy and short_id not in self.short_ids:
            self.busy = True
            self.short_ids.add(short_id)
            self.begin(self.write(advertisement.address, short_id))

    async def write(self, address, short_id):
        tcn = secrets.token_bytes(TCN_SIZE)
        try:
            connection, target = await self.connect(address)
            try:
                self.news(writes=tcn.hex(), to=text(address))  # first: it may arrive without us hearing so
                await asked(connection, target.write_value(tcn, with_response=True))
                self.news(wrote=tcn.hex(), to=text(address), short_id=short_id.hex())
            finally:
                await leave(connection)
        except (Lost, Unfit, att.ATT_Error) as error:
            if isinstance(error, Lost):
                self.short_ids.discard(short_id)
            self.news(failed=str(error), to=text(address))
        finally:
            self.busy = False


class WrittenIphone(Iphone):
    """The same, after it has written to all devices that it hears: now it only waits to be read."""

    def hears(self, advertisement):
        Client.hears(self, advertisement)


class Hostile(Host):
    """Does what it was ordered to, to each device that airs a connectable number."""

    def __init__(self, *how):
        super().__init__(*how)
        self.target = None

    def hears(self, advertisement):
        super().hears(advertisement)
        if self.target and short_id_of(advertisement) and not self.target.done():
            self.target.set_result(advertisement.address)

    async def reach(self):
        """Connect to the device that is heard next, and to the one after it if that fails."""
        while True:
            self.target = asyncio.get_running_loop().create_future()
            try:
                return await self.connect(await self.target)
            except (Lost, Unfit, att.ATT_Error) as error:
                self.news(failed=str(error))

    async def hold(self):
        """Connect and do nothing."""
        connection, _ = await self.reach()
        self.news(held=text(connection.peer_address))
        connection.on("disconnection", lambda reason: self.news(cut=reason))

    async def read(self):
        """Read the number."""
        await self.attempt("read", lambda target: target.read_value())

    async def write(self, what, value, offset):
        """Write something, on a separate connection."""
        await self.attempt(what, lambda target: write_at(target, offset, value) if offset
                           else target.write_value(value, with_response=True))

    async def attempt(self, what, request):
        """Report the answer to a request: an ATT error, or 0. If it is cut off or too late, try again."""
        code = None
        while code is None:
            connection, target = await self.reach()
            try:
                await in_time(asked(connection, request(target)))
                code = 0
            except att.ATT_Error as error:
                code = int(error.error_code)
            except Lost as error:
                self.news(failed=str(error))
            finally:
                await leave(connection)
        self.news(tried=what, answer=code)

    async def flood(self, mark, count):
        """Write number after number, each answered with success; connect again when cut off or too late."""
        done = connections = 0
        while done < count:
            connection, target = await self.reach()
            connections += 1
            try:
                while done < count:
                    number = mark + done.to_bytes(8, "big")
                    await in_time(asked(connection, target.write_value(number, with_response=True)))
                    done += 1
            except Lost:
                pass
            await leave(connection)
        self.news(flooded=done, connections=connections)


class Lost(Exception):
    """The peer has gone."""


class Unfit(Exception):
    """The peer is not what it seemed."""


async def answered(request):
    """The answer to a request; an error of ATT is one too, and is raised as it is."""
    try:
        return await request
    except att.ATT_Error:
        raise
    except (BaseBumbleError, asyncio.TimeoutError) as error:
        raise Lost(f"{type(error).__name__}: {error}") from error
    except asyncio.CancelledError as error:  # Bumble's way to say that the connection has ended
        if asyncio.current_task().cancelling():
            raise
        raise Lost("cut off") from error


def alive(connection):
    """Whether a connection still exists."""
    return connection.device.connections.get(connection.handle) is connection


async def asked(connection, request):
    """The answer to a request over a connection. After the end of the connection Bumble would wait
    half a minute for an answer."""
    if not alive(connection):
        request.close()
        raise Lost("cut off")
    return await answered(connection.cancel_on_disconnection(request))


async def in_time(request):
    """The answer to a request. A refusal because tcnd is between two numbers counts as cut off: a peer
    that is connected then is about to be disconnected."""
    try:
        return await request
    except att.ATT_Error as error:
        if error.error_code == BETWEEN_NUMBERS:
            raise Lost("between two numbers") from error
        raise


def text(address):
    """An address without Bumble's mark of its kind."""
    return str(address).split("/")[0]


def short_id_of(advertisement):
    """Bytes 16 to 19 of the service data, if they are the last and one may connect."""
    data = advertisement.data.get(AdvertisingData.Type.SERVICE_DATA_16_BIT_UUID, raw=True)
    if advertisement.is_connectable and data and data[:2] == SERVICE.to_bytes() and len(data) == 2 + SERVICE_DATA_SIZE:
        return data[2 + TCN_SIZE:]
    return None


async def characteristic(peer):
    """The number's characteristic of a peer; a peer without one raises Unfit."""
    await peer.request_mtu(LONG_MTU)
    for service in await peer.discover_service(SERVICE):
        for found in await service.discover_characteristics([CHARACTERISTIC]):
            return found
    raise Unfit("no such service")


async def write_at(target, offset, value):
    """A write at an offset, which takes two requests: prepare and execute."""
    for request in (att.ATT_Prepare_Write_Request(attribute_handle=target.handle, value_offset=offset, part_attribute_value=value),
                    att.ATT_Execute_Write_Request(flags=1)):
        response = await target.client.send_request(request)
        if response.op_code == att.Opcode.ATT_ERROR_RESPONSE:
            raise att.ATT_Error(error_code=response.error_code)


async def leave(connection):
    """End a connection, unless the peer has ended it already."""
    if alive(connection):
        try:
            await answered(asyncio.wait_for(connection.disconnect(), LEAVE_TIMEOUT))
        except Lost:
            pass
