package source

// Fields are those of a stream's entry, by name, with strings as values; nil where the
// message is none. Of fields of the same name there is the last.
func (m Message) Fields() map[string]any { return m.fields }

// WithFields is the message as an entry with those fields; its Payload is made of them.
func (m Message) WithFields(fields map[string]any) Message {
	m.fields, m.Payload = fields, payloadOf(fields)
	return m
}
