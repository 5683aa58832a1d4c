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
		NilLag(), PhantomLag(), StaleLag(), PatternSubscribers(), OldClientList(), Info(subscriberBytes),
		DeclaredKeysOnly(), PlainHello(), UnknownCommands(), FlatACL(), RoleReplica(),
		ClaimIdle(), EmptyEntries(),
	}
}

// NilLag is a lag that is nil from a group's creation at $ or at an arbitrary id until its
// first read. (Redis says 0 while nothing came since the creation at $.)
func NilLag() Trait {
	return onGroups(func(_ *session, _ string, group value) error {
		if read := group.field("entries-read"); read != nil && read.kind != ':' {
			setLag(group, null())
		}
		return nil
	})
}

// PhantomLag is a lag that counts entries that were deleted before they were delivered.
// (Redis 7.0 does so for XTRIM, and says nil after XDEL.)
func PhantomLag() Trait {
	return onGroups(func(c *session, key string, group value) error {
		delivered, known := group.number("entries-read")
		if _, exact := group.number("lag"); exact || !known {
			return nil
		}
		stream, err := c.do("XINFO", "STREAM", key)
		if err != nil {
			return err
		}
		if added, ok := stream.number("entries-added"); ok {
			setLag(group, integer(added-delivered))
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

// NilEntriesRead is entries-read that is nil, with a lag.
func NilEntriesRead() Trait {
	return onGroups(func(_ *session, _ string, group value) error {
		if read := group.field("entries-read"); read != nil {
			*read = null()
		}
		return nil
	})
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

// OldClientList is CLIENT LIST before 1.39: no filters, and at all versions without what
// tells of a client's output buffers and subscriptions.
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
		text.WriteString(strings.Join(kept, " ") + "\n")
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

// RoleReplica is ROLE that says "replica" where Redis says "slave".
func RoleReplica() Trait {
	return Trait{alter: func(_ *session, name string, _ []string, reply *value) error {
		if name == "ROLE" && len(reply.items) > 0 && reply.items[0].text == "slave" {
			reply.items[0] = bulk("replica")
		}
		return nil
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

// UnknownCommands are those that DragonFly does not have: OBJECT, CLIENT
// MAINT_NOTIFICATIONS, CLIENT SETINFO, and PUBSUB SHARDNUMSUB outside cluster
// mode.
func UnknownCommands() Trait {
	return Trait{refuse: func(name string, args []string) string {
		subcommand := ""
		if len(args) > 1 {
			subcommand = strings.ToUpper(args[1])
		}
		switch name + " " + subcommand {
		case "CLIENT MAINT_NOTIFICATIONS", "CLIENT SETINFO":
			return fmt.Sprintf("ERR Unknown subcommand or wrong number of arguments for '%s'. Try CLIENT HELP.", subcommand)
		case "PUBSUB SHARDNUMSUB":
			return "ERR PUBSUB SHARDNUMSUB is not supported in non cluster mode"
		}
		if name == "OBJECT" {
			return "ERR unknown command `OBJECT`"
		}
		return ""
	}}
}

// FlatACL refuses rules for subcommands.
func FlatACL() Trait {
	return Trait{refuse: func(name string, args []string) string {
		if name != "ACL" || len(args) < 3 || !strings.EqualFold(args[1], "SETUSER") {
			return ""
		}
		for _, rule := range args[3:] {
			if strings.HasPrefix(rule, "+") && strings.Contains(rule, "|") {
				return fmt.Sprintf("ERR Error in ACL SETUSER modifier '%s': Unknown command or category name in ACL", rule)
			}
		}
		return ""
	}}
}
