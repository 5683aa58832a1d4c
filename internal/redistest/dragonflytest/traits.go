package dragonflytest

import (
	"fmt"
	"strings"
)

// Trait is one difference.
type Trait struct {
	// refuse is DragonFly's error; empty where it takes the command. name is in upper case.
	refuse func(name string, args []string) string
	// before sees what goes to Redis, and may change it.
	before func(c *session, name string, args *[]string) error
	// alter changes the reply.
	alter func(c *session, name string, args []string, reply *value) error
}

// All are the differences of a single server that is not in cluster mode; so many bytes
// wait for its subscribers.
func All(subscriberBytes int64) []Trait {
	return []Trait{
		NilLag(), ZeroLag(), StaleLag(), PatternSubscribers(), OldClientList(), Info(subscriberBytes),
		DeclaredKeysOnly(), PlainHello(), UnknownCommands(), FlatACL(), ShortRole(),
		ClaimIdle(), EmptyEntries(), UnknownConsumers(),
	}
}

// NilLag is a lag that stays nil, of a group made at an arbitrary id or at $, from when something came
// after it until the group has read all there is: a read of a part does not mend it, and one of all only
// for as long as nothing comes. XGROUP CREATE must come through the model. (Redis 7.0 mends it for good
// when all was read.)
func NilLag() Trait {
	trait := onGroups(func(c *session, key string, group value) error {
		c.server.mu.Lock()
		arbitrary := c.server.arbitrary[groupName{key, group.field("name").text}]
		c.server.mu.Unlock()
		if !arbitrary {
			return nil
		}
		stream, err := c.do("XINFO", "STREAM", key)
		if err != nil {
			return err
		}
		delivered, generated := group.field("last-delivered-id"), stream.field("last-generated-id")
		if delivered == nil || generated == nil || delivered.text == generated.text {
			return nil
		}
		setLag(group, null())
		return nil
	})
	trait.before = func(c *session, name string, args *[]string) error {
		a := *args
		if name != "XGROUP" || len(a) < 5 || !strings.EqualFold(a[1], "CREATE") {
			return nil
		}
		c.server.mu.Lock()
		defer c.server.mu.Unlock()
		c.server.arbitrary[groupName{a[2], a[3]}] = a[4] != "0" && a[4] != "0-0"
		return nil
	}
	return trait
}

// ZeroLag is a lag of 0 where XDEL left nothing of a stream. (Redis says how many were deleted before
// they were delivered.) XTRIM is as on Redis.
func ZeroLag() Trait {
	return onGroups(func(c *session, key string, group value) error {
		stream, err := c.do("XINFO", "STREAM", key)
		if err != nil {
			return err
		}
		length, known := stream.number("length")
		deleted := stream.field("max-deleted-entry-id")
		if known && length == 0 && deleted != nil && deleted.text != "0-0" {
			setLag(group, integer(0))
		}
		return nil
	})
}

// StaleLag is a lag that stays as it was when XGROUP SETID moves a group, until the group's
// next read. XGROUP SETID and XREADGROUP must come through the model.
func StaleLag() Trait {
	trait := onGroups(func(c *session, key string, group value) error {
		c.server.mu.Lock()
		defer c.server.mu.Unlock()
		if lag, ok := c.server.stale[groupName{key, group.field("name").text}]; ok {
			setLag(group, lag)
		}
		return nil
	})
	trait.before = func(c *session, name string, args *[]string) error {
		a := *args
		switch {
		case name == "XREADGROUP" && len(a) > 2:
			c.server.mu.Lock()
			defer c.server.mu.Unlock()
			for stale := range c.server.stale {
				if stale.group == a[2] {
					delete(c.server.stale, stale)
				}
			}
		case name == "XGROUP" && len(a) > 3 && strings.EqualFold(a[1], "SETID"):
			return c.keepLag(groupName{a[2], a[3]})
		}
		return nil
	}
	return trait
}

func (c *session) keepLag(name groupName) error {
	groups, err := c.do("XINFO", "GROUPS", name.key)
	if err != nil {
		return err
	}
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	for _, group := range groups.items {
		if lag := group.field("lag"); lag != nil && group.field("name").text == name.group {
			c.server.stale[name] = *lag
		}
	}
	return nil
}

// onGroups alters each group of a reply to XINFO GROUPS.
func onGroups(alter func(c *session, key string, group value) error) Trait {
	return Trait{alter: func(c *session, name string, args []string, reply *value) error {
		if name != "XINFO" || len(args) < 3 || !strings.EqualFold(args[1], "GROUPS") || reply.failed() {
			return nil
		}
		for _, group := range reply.items {
			if err := alter(c, args[2], group); err != nil {
				return err
			}
		}
		return nil
	}}
}

func setLag(group, lag value) {
	if field := group.field("lag"); field != nil {
		*field = lag
	}
}

// PatternSubscribers has PUBSUB NUMSUB count pattern subscribers, too. The model takes
// every pattern to match.
func PatternSubscribers() Trait {
	return Trait{alter: func(c *session, name string, args []string, reply *value) error {
		if name != "PUBSUB" || len(args) < 2 || !strings.EqualFold(args[1], "NUMSUB") || reply.failed() {
			return nil
		}
		patterns, err := c.do("PUBSUB", "NUMPAT")
		if err != nil {
			return err
		}
		more, _ := value{items: []value{bulk("n"), patterns}}.number("n")
		for i := 1; i < len(reply.items); i += 2 {
			var count int64
			_, _ = fmt.Sscan(reply.items[i].text, &count)
			reply.items[i] = integer(count + more)
		}
		return nil
	}}
}

// OldClientList is CLIENT LIST before 1.39: no filters; and at all versions without what
// tells of a client's output buffers and subscriptions, but with the seconds for which it
// keeps the server waiting, a slow subscriber for one (send-wait-time). Of the model, nobody does.
func OldClientList() Trait {
	return Trait{
		refuse: func(name string, args []string) string {
			if name == "CLIENT" && len(args) > 2 && strings.EqualFold(args[1], "LIST") {
				return "ERR syntax error"
			}
			return ""
		},
		alter: func(_ *session, name string, args []string, reply *value) error {
			if name == "CLIENT" && len(args) > 1 && strings.EqualFold(args[1], "LIST") {
				reply.text = withoutBuffers(reply.text)
			}
			return nil
		},
	}
}

func withoutBuffers(list string) string {
	var text strings.Builder
	for line := range strings.Lines(list) {
		var kept []string
		for field := range strings.FieldsSeq(line) {
			switch name, _, _ := strings.Cut(field, "="); name {
			case "sub", "psub", "ssub", "obl", "oll", "omem", "tot-mem":
			default:
				kept = append(kept, field)
			}
		}
		text.WriteString(strings.Join(kept, " ") + " send-wait-time=0\n")
	}
	return text.String()
}

// Info is INFO with DragonFly's version beside the Redis version that it claims, and in
// section memory the bytes that wait for all subscribers together.
func Info(subscriberBytes int64) Trait {
	return Trait{alter: func(_ *session, name string, _ []string, reply *value) error {
		if name != "INFO" || reply.failed() {
			return nil
		}
		var text strings.Builder
		for line := range strings.Lines(reply.text) {
			if strings.HasPrefix(line, "redis_version:") {
				line = "redis_version:7.4.0\r\ndragonfly_version:df-v1.40.1\r\n"
			}
			text.WriteString(line)
			if strings.HasPrefix(line, "# Memory") {
				fmt.Fprintf(&text, "dispatch_queue_subscriber_bytes:%d\r\n", subscriberBytes)
			}
		}
		reply.text = text.String()
		return nil
	}}
}

// ShortRole is the ROLE of a replica in 4 items: without an offset, with the port as text, and with
// other names of its states.
func ShortRole() Trait {
	return Trait{alter: func(_ *session, name string, _ []string, reply *value) error {
		if name == "ROLE" && len(reply.items) > 3 && reply.items[0].text == "slave" {
			state := "full_sync"
			if reply.items[3].text == "connected" {
				state = "online"
			}
			*reply = replicaOf(reply.items[1].text, reply.items[2].text, state)
		}
		return nil
	}}
}

func replicaOf(host, port, state string) value {
	return value{kind: '*', items: []value{bulk("slave"), bulk(host), bulk(port), bulk(state)}}
}

// Unconfigured is a server in cluster mode before it was told of the cluster: each command with a key is
// refused but for XINFO, to which no key exists.
func Unconfigured() Trait {
	keyless := map[string]bool{
		"ACL": true, "AUTH": true, "CLIENT": true, "CLUSTER": true, "CONFIG": true, "HELLO": true, "INFO": true,
		"PING": true, "PUBSUB": true, "ROLE": true, "SELECT": true,
	}
	return Trait{refuse: func(name string, _ []string) string {
		switch {
		case name == "XINFO":
			return "ERR no such key"
		case keyless[name]:
			return ""
		}
		return "ERR Cluster is not yet configured"
	}}
}

// KeylessXInfo is XINFO in cluster mode: a key that another node has is "no such key", and
// no MOVED tells where it is.
func KeylessXInfo() Trait {
	return Trait{alter: func(_ *session, name string, _ []string, reply *value) error {
		if name == "XINFO" && reply.failed() && strings.HasPrefix(reply.text, "MOVED") {
			*reply = failure("ERR no such key")
		}
		return nil
	}}
}

// DeclaredKeysOnly refuses scripts that may touch keys which they don't declare. The model
// refuses each that calls a command and declares none.
func DeclaredKeysOnly() Trait {
	return Trait{refuse: func(name string, args []string) string {
		if name == "EVAL" && len(args) > 2 && args[2] == "0" && strings.Contains(args[1], "redis.call") {
			return "ERR Error running script: script tried accessing undeclared key"
		}
		return ""
	}}
}

// PlainHello is a HELLO without a version, which sets a connection back to RESP2.
func PlainHello() Trait {
	return Trait{before: func(_ *session, name string, args *[]string) error {
		if name == "HELLO" && len(*args) == 1 {
			*args = append(*args, "2")
		}
		return nil
	}}
}

// UnknownCommands are those that DragonFly does not have: OBJECT, CLIENT MAINT_NOTIFICATIONS, and PUBSUB
// SHARDNUMSUB outside cluster mode. CLIENT SETINFO, which Redis 7.0 has not, it has.
func UnknownCommands() Trait {
	trait := Trait{refuse: func(name string, args []string) string {
		subcommand := ""
		if len(args) > 1 {
			subcommand = strings.ToUpper(args[1])
		}
		switch name + " " + subcommand {
		case "CLIENT MAINT_NOTIFICATIONS":
			return fmt.Sprintf("ERR Unknown subcommand or wrong number of arguments for '%s'. Try CLIENT HELP.", subcommand)
		case "PUBSUB SHARDNUMSUB":
			return "ERR PUBSUB SHARDNUMSUB is not supported in non cluster mode"
		}
		if name == "OBJECT" {
			return "ERR unknown command `OBJECT`"
		}
		return ""
	}}
	trait.alter = func(_ *session, name string, args []string, reply *value) error {
		if name == "CLIENT" && len(args) == 4 && strings.EqualFold(args[1], "SETINFO") && reply.failed() {
			*reply = value{kind: '+', text: "OK"}
		}
		return nil
	}
	return trait
}

// FlatACL refuses rules for subcommands, and reset.
func FlatACL() Trait {
	return Trait{refuse: func(name string, args []string) string {
		if name != "ACL" || len(args) < 3 || !strings.EqualFold(args[1], "SETUSER") {
			return ""
		}
		for _, rule := range args[3:] {
			if strings.EqualFold(rule, "reset") || strings.HasPrefix(rule, "+") && strings.Contains(rule, "|") {
				return fmt.Sprintf("ERR Error in ACL SETUSER modifier '%s': Unknown command or category name in ACL", rule)
			}
		}
		return ""
	}}
}
