// Package address parses the addresses of DragonFly and Redis servers, and names how the servers are
// set up, in the same way for the scaler's triggers and connections, the subscriber and the publisher.
package address

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// MaxServers is how many addresses a list may have.
const MaxServers = 32

// Parse returns host and port. Its errors show no more of the address than Shown does.
func Parse(address string) (host, port string, err error) {
	// Check for a user first: in an address with one, what looks like the port may be a password.
	if strings.Contains(address, "@") {
		return "", "", errors.New("it must be host:port without a scheme, user or path, for example dragonfly:6379; a password belongs in a Secret")
	}
	host, port, err = net.SplitHostPort(address)
	if err != nil || host == "" || strings.Contains(address, "://") {
		return "", "", errors.New("it must be host:port without a scheme, for example dragonfly:6379")
	}
	if strings.ContainsAny(host, "/ ,") || strings.ContainsFunc(host, unicode.IsControl) {
		return "", "", errors.New("it must be host:port without a scheme, user or path, for example dragonfly:6379")
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
		return "", "", fmt.Errorf("the port %q must be a number from 1 to 65535", shownPort(port))
	}
	return host, port, nil
}

// shownPort is a port as an error may show it: if it is not a number, it may be a password.
func shownPort(port string) string {
	if strings.Trim(port, "0123456789") != "" || len(port) > maxShownPort {
		return hidden
	}
	return port
}

const (
	// hidden replaces what is not shown.
	hidden       = "…"
	maxShownPort = 6 // digits: one more than a port may have
)

// showable is an address, or a URL, in which no user, password or parameter can be.
var showable = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*://)?(\[[0-9A-Za-z:.%]*\]|[0-9A-Za-z._-]*)(:[0-9]{0,6})?(/[0-9]{0,6})?$`)

// Shown is a list of addresses as a text may show it, also where Parse would refuse it: what
// stands before an @ may be a password, and so may all else that does not look like host:port.
func Shown(list string) string {
	if at := strings.LastIndexByte(list, '@'); at >= 0 {
		return hidden + "@" + Shown(list[at+1:])
	}
	addresses := strings.Split(list, ",")
	for i, address := range addresses {
		if trimmed := strings.TrimSpace(address); !showable.MatchString(trimmed) {
			addresses[i] = hidden
		}
	}
	return strings.Join(addresses, ",")
}

// ParseList parses one address, or several separated by commas: sentinels, or some nodes of a
// cluster. It removes spaces around them.
func ParseList(list string) ([]string, error) {
	addresses := strings.Split(list, ",")
	if len(addresses) > MaxServers {
		return nil, fmt.Errorf("it names %d servers: name at most %d; the others are found through them", len(addresses), MaxServers)
	}
	for i, address := range addresses {
		addresses[i] = strings.TrimSpace(address)
		if _, _, err := Parse(addresses[i]); err != nil {
			if len(addresses) > 1 {
				return nil, fmt.Errorf("%q: %w", Shown(addresses[i]), err)
			}
			return nil, err
		}
	}
	return addresses, nil
}
