# Addresses and networks. Their order is that of their digits, which are as long as the address is.
class IPv4Address:
    def __init__(self, value):
        _address(self, value, 4)

    def __str__(self):
        return self.compressed

    def __repr__(self):
        return "IPv4Address('" + self.compressed + "')"

    def __eq__(self, other):
        return type(other) is type(self) and self._digits == other._digits

    def __hash__(self):
        return hash(self._digits)


class IPv6Address:
    def __init__(self, value):
        _address(self, value, 6)

    def __str__(self):
        return self.compressed

    def __repr__(self):
        return "IPv6Address('" + self.compressed + "')"

    def __eq__(self, other):
        return type(other) is type(self) and self._digits == other._digits

    def __hash__(self):
        return hash(self._digits)



def _address(address, value, version):
    found = value if type(value) is dict else _host('address', str(value))
    if found is None or found['version'] != version:
        raise ValueError(repr(value) + ' does not appear to be an IPv' + str(version) + ' address')
    _fill(address, found)
    address.max_prefixlen = 32 if version == 4 else 128


def ip_address(value):
    if isinstance(value, IPv4Address) or isinstance(value, IPv6Address):
        return value
    found = _host('address', str(value))
    if found is None:
        raise ValueError(repr(value) + ' does not appear to be an IPv4 or IPv6 address')
    return IPv4Address(found) if found['version'] == 4 else IPv6Address(found)


class IPv4Network:
    def __init__(self, value, strict=True):
        _network(self, value, strict, 4)

    def __str__(self):
        return self.compressed

    def __repr__(self):
        return "IPv4Network('" + self.compressed + "')"

    def __eq__(self, other):
        return type(other) is type(self) and self.compressed == other.compressed

    def __hash__(self):
        return hash(self.compressed)

    def __contains__(self, address):
        return _within(self, address)

    def subnet_of(self, other):
        return _subnet(self, other)

    def supernet_of(self, other):
        return _subnet(other, self)

    def overlaps(self, other):
        return self._first <= other._last and other._first <= self._last


class IPv6Network:
    def __init__(self, value, strict=True):
        _network(self, value, strict, 6)

    def __str__(self):
        return self.compressed

    def __repr__(self):
        return "IPv6Network('" + self.compressed + "')"

    def __eq__(self, other):
        return type(other) is type(self) and self.compressed == other.compressed

    def __hash__(self):
        return hash(self.compressed)

    def __contains__(self, address):
        return _within(self, address)

    def subnet_of(self, other):
        return _subnet(self, other)

    def supernet_of(self, other):
        return _subnet(other, self)

    def overlaps(self, other):
        return self._first <= other._last and other._first <= self._last


def _within(network, address):
    return network.version == address.version and network._first <= address._digits and address._digits <= network._last


def _subnet(inner, outer):
    if inner.version != outer.version:
        raise TypeError(str(inner) + ' and ' + str(outer) + ' are not of the same version')
    return outer._first <= inner._first and inner._last <= outer._last


def _network(network, value, strict, version):
    found = value if type(value) is dict else _host('network', str(value))
    if found is None or found['version'] != version:
        raise ValueError(repr(value) + ' does not appear to be an IPv' + str(version) + ' network')
    if strict and found['_bits']:
        raise ValueError(str(value) + ' has host bits set')
    _fill(network, found)
    network.max_prefixlen = 32 if version == 4 else 128
    network.num_addresses = 2 ** (network.max_prefixlen - network.prefixlen)
    network.netmask = ip_address(found['netmask'])
    network.network_address = ip_address(found['_low'])
    network.broadcast_address = ip_address(found['_high'])
    network.with_prefixlen = network.compressed


def ip_network(value, strict=True):
    if isinstance(value, IPv4Network) or isinstance(value, IPv6Network):
        return value
    found = _host('network', str(value))
    if found is None:
        raise ValueError(repr(value) + ' does not appear to be an IPv4 or IPv6 network')
    if strict and found['_bits']:
        raise ValueError(str(value) + ' has host bits set')
    return IPv4Network(found, False) if found['version'] == 4 else IPv6Network(found, False)


class _Interface:
    def __init__(self, value):
        text = str(value)
        self.ip = ip_address(text.split('/')[0])
        self.network = ip_network(text, False)
        self.version = self.ip.version

    def __str__(self):
        return str(self.ip) + '/' + str(self.network.prefixlen)

    def __eq__(self, other):
        return isinstance(other, _Interface) and self.ip == other.ip and self.network == other.network


def ip_interface(value):
    return _Interface(value)


_ipaddress = _Thing({'ip_address': ip_address, 'ip_network': ip_network, 'ip_interface': ip_interface,
                     'IPv4Address': IPv4Address, 'IPv6Address': IPv6Address, 'IPv4Network': IPv4Network,
                     'IPv6Network': IPv6Network, 'AddressValueError': ValueError})
