package dragonflytest

import "strings"

// ClaimIdle is an XCLAIM that takes IDLE for a time: the entry then looks as if it had been
// pending since 1970.
func ClaimIdle() Trait {
	return Trait{before: func(_ *session, name string, args *[]string) error {
		if name != "XCLAIM" {
			return nil
		}
		a := *args
		for i := 5; i+1 < len(a); i++ {
			if strings.EqualFold(a[i], "IDLE") {
				a[i], a[i+1] = "TIME", "0"
			}
		}
		return nil
	}}
}

// EmptyEntries is a history (XREADGROUP with an ID) in which an entry that was deleted has an empty
// array of fields, where Redis has nil.
func EmptyEntries() Trait {
	return Trait{alter: func(_ *session, name string, _ []string, reply *value) error {
		if name != "XREADGROUP" || reply.failed() {
			return nil
		}
		for _, entries := range entriesOf(*reply) {
			for _, entry := range entries.items {
				if len(entry.items) == 2 && (entry.items[1].null || entry.items[1].kind == '_') {
					entry.items[1] = value{kind: '*'}
				}
			}
		}
		return nil
	}}
}

// UnknownConsumers is an XPENDING of one consumer that tells of all, if the group does not know that one. (Its source,
// until https://github.com/dragonflydb/dragonfly/pull/8168 in August 2026.)
func UnknownConsumers() Trait {
	return Trait{alter: func(c *session, name string, args []string, reply *value) error {
		if name != "XPENDING" || reply.kind != '*' || len(reply.items) > 0 || len(args) < 7 {
			return nil
		}
		last := len(args) - 1
		if strings.EqualFold(args[3], "IDLE") && last < 8 {
			return nil // of all
		}
		consumers, err := c.do("XINFO", "CONSUMERS", args[1], args[2])
		if err != nil {
			return err
		}
		for _, consumer := range consumers.items {
			if known := consumer.field("name"); known != nil && known.text == args[last] {
				return nil
			}
		}
		*reply, err = c.do(args[:last]...)
		return err
	}}
}

// entriesOf are the entries of each stream: of pairs in an array (RESP2), or of a map (RESP3).
func entriesOf(reply value) (entries []value) {
	for i, item := range reply.items {
		switch {
		case reply.kind == '%' && i%2 == 1:
			entries = append(entries, item)
		case reply.kind != '%' && len(item.items) == 2:
			entries = append(entries, item.items[1])
		}
	}
	return entries
}
