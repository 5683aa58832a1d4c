package source

// Fields are those of a stream's entry, by name, with strings as values; nil where the
// message is none. Of fields of the same name there is the last.
func (m Message) Fields() map[string]any { return m.fields }

// WithFields is the message as an entry with those fields; its Payload is made of them.
func (m Message) WithFields(fields map[string]any) Message {
	m.fields, m.Payload = fields, payloadOf(fields)
	return m
}

// Size is how many bytes of memory the message's content takes.
func (m Message) Size() int64 {
	size := int64(len(m.Payload))
	for name, value := range m.fields {
		size += int64(len(name))
		if text, ok := value.(string); ok && len(text) != len(m.Payload) { // else it may be the payload itself
			size += int64(len(text))
		}
	}
	return size
}
