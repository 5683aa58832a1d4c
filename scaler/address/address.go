// Package address reads the addresses of DragonFly and Redis servers, the same way for the
// scaler's triggers, the subscriber and the publisher.
package address

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// MaxServers is how many addresses a list may have.
const MaxServers = 32

// Parse refuses what is not host:port.
func Parse(address string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(address)
	if err != nil || host == "" || strings.Contains(address, "://") {
		return "", "", errors.New("it must be host:port without a scheme, for example dragonfly:6379")
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
		return "", "", fmt.Errorf("the port %q must be a number from 1 to 65535", port)
	}
	if strings.ContainsAny(host, "/@ ,") {
		return "", "", errors.New("it must be host:port without a scheme, user or path, for example dragonfly:6379")
	}
	return host, port, nil
}

// ParseList reads one address, or several that are separated by commas: sentinels, or some
// of a cluster's nodes. Spaces around them are dropped.
func ParseList(list string) ([]string, error) {
	addresses := strings.Split(list, ",")
	if len(addresses) > MaxServers {
		return nil, fmt.Errorf("it names %d servers: name %d at most, the others are found through them", len(addresses), MaxServers)
	}
	for i, address := range addresses {
		addresses[i] = strings.TrimSpace(address)
		if _, _, err := Parse(addresses[i]); err != nil {
			if len(addresses) > 1 {
				return nil, fmt.Errorf("%q: %w", addresses[i], err)
			}
			return nil, err
		}
	}
	return addresses, nil
}
