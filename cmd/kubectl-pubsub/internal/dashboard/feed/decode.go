package feed

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	kjson "sigs.k8s.io/json"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/reading"
)

// decoder decodes channels, and of one that it knows only what changed.
type decoder struct {
	seed  maphash.Seed
	known map[string]remembered
}

// remembered is a channel with what must be as it was for all but its status to be the same.
type remembered struct {
	channel *v1.PubSubChannel
	rest    uint64 // of the raw metadata that can change without the generation
}

func newDecoder() *decoder {
	return &decoder{seed: maphash.MakeSeed(), known: map[string]remembered{}}
}

// raw is a channel's parts as they came.
type raw struct {
	apiVersion                                                              []byte
	namespace, name, uid, generation, version, labels, annotations, deleted []byte
	status                                                                  []byte
}

func split(data []byte) (r raw, err error) {
	var metadata []byte
	err = members(data, func(name string, value []byte) {
		switch name {
		case "apiVersion":
			r.apiVersion = value
		case "metadata":
			metadata = value
		case "status":
			r.status = value
		}
	})
	if err != nil {
		return raw{}, err
	}
	into := map[string]*[]byte{
		"namespace": &r.namespace, "name": &r.name, "uid": &r.uid, "generation": &r.generation, "resourceVersion": &r.version,
		"labels": &r.labels, "annotations": &r.annotations, "deletionTimestamp": &r.deleted,
	}
	err = members(metadata, func(name string, value []byte) {
		if part := into[name]; part != nil {
			*part = value
		}
	})
	return r, err
}

func plain(quoted []byte) string { return string(bytes.Trim(quoted, `"`)) }

func (r raw) key() string { return plain(r.namespace) + "/" + plain(r.name) }

// named is whether it tells which channel it is.
func (r raw) named() bool { return isText(r.namespace) && isText(r.name) }

func isText(value []byte) bool { return len(value) > 2 && value[0] == '"' }

// unchanged is a number for all but the status, the version, and what the generation stands for.
func (d *decoder) unchanged(r raw) uint64 {
	var h maphash.Hash
	h.SetSeed(d.seed)
	for _, part := range [][]byte{r.uid, r.generation, r.labels, r.annotations, r.deleted} {
		h.WriteString(strconv.Itoa(len(part)))
		h.WriteByte(' ')
		h.Write(part)
	}
	return h.Sum64()
}

// has is whether what the API server sent is a channel as it was decoded last, and its key.
func (d *decoder) has(data []byte) (key string, same bool) {
	parts, err := split(data)
	if err != nil || !parts.named() || !isText(parts.version) {
		return "", false
	}
	before, known := d.known[parts.key()]
	return parts.key(), known && before.channel.ResourceVersion == plain(parts.version) && string(before.channel.UID) == plain(parts.uid)
}

// ours is the version that is read.
var ours = v1.GroupVersion.String()

// channel decodes a channel from what the API server sent to a follower of a namespace (empty: of
// all). One that can't be decoded says so (reading.Unreadable), whatever it is: the others are
// followed all the same.
func (d *decoder) channel(data []byte, namespace string) *v1.PubSubChannel {
	parts, err := split(data)
	if err != nil {
		return d.whole(data, parts, namespace)
	}
	if version := bytes.Trim(parts.apiVersion, `"`); len(version) > 0 && string(version) != ours {
		return d.standIn(parts, namespace, fmt.Errorf("it is of %s, and this plugin reads %s: upgrade the plugin", version, ours))
	}
	before, known := d.known[parts.key()]
	if !known || before.rest != d.unchanged(parts) || reading.Unreadable(before.channel) != "" {
		return d.whole(data, parts, namespace)
	}
	channel := &v1.PubSubChannel{TypeMeta: before.channel.TypeMeta, ObjectMeta: before.channel.ObjectMeta, Spec: before.channel.Spec}
	channel.ResourceVersion = plain(parts.version)
	if len(parts.status) > 0 {
		// A quantity may take for ever to decode, and the status has some only then.
		if bytes.Contains(parts.status, []byte(`"busy`)) && len(reading.TooCostly[v1.PubSubChannelStatus](parts.status, "status")) > 0 {
			return d.whole(data, parts, namespace)
		}
		if kjson.UnmarshalCaseSensitivePreserveInts(parts.status, &channel.Status) != nil {
			return d.whole(data, parts, namespace)
		}
	}
	before.channel = channel
	d.known[parts.key()] = before
	return channel
}

func (d *decoder) whole(data []byte, parts raw, namespace string) *v1.PubSubChannel {
	channel, err := reading.Channel(data)
	if err != nil {
		return d.standIn(parts, namespace, err)
	}
	if channel.Namespace == "" || channel.Name == "" {
		return d.standIn(parts, namespace, errNoName)
	}
	channel.ManagedFields = nil // nobody reads them, and they are half of a channel
	d.known[channel.Namespace+"/"+channel.Name] = remembered{channel, d.unchanged(parts)}
	return channel
}

// errNoName is for an object that does not tell which one it is.
var errNoName = errors.New("it has no namespace, or no name")

// The names of what does not tell its own. No object of the API server can have such a name.
const (
	noNamespace = "(no namespace)"
	noName      = "(no name)"
)

// standIn is in the place of an object of which not even the metadata can be decoded, under its
// name as far as it tells one.
func (d *decoder) standIn(parts raw, namespace string, err error) *v1.PubSubChannel {
	channel := &v1.PubSubChannel{ObjectMeta: metav1.ObjectMeta{
		Namespace: cmp.Or(namespace, noNamespace), Name: noName,
		Annotations: map[string]string{reading.AnnotationUnreadable: err.Error()},
	}}
	if parts.named() {
		channel.Namespace, channel.Name = plain(parts.namespace), plain(parts.name)
		channel.UID, channel.ResourceVersion = types.UID(plain(parts.uid)), plain(parts.version)
	}
	d.known[channel.Namespace+"/"+channel.Name] = remembered{channel: channel}
	return channel
}

// release is what is known, which is known no more.
func (d *decoder) release() map[string]remembered {
	known := d.known
	d.known = map[string]remembered{}
	return known
}

// adopt takes over what another decoder knew. Each channel is decoded in full when it comes next.
func (d *decoder) adopt(known map[string]remembered) {
	for key, each := range known {
		d.known[key] = remembered{channel: each.channel}
	}
}

func (d *decoder) forget(key string) { delete(d.known, key) }

// frame is one of a watch: its type, and the object as it came.
func frame(data []byte) (kind string, object []byte, err error) {
	err = members(data, func(name string, value []byte) {
		switch name {
		case "type":
			kind = plain(value)
		case "object":
			object = value
		}
	})
	if err == nil && (kind == "" || object == nil) {
		err = errNotJSON
	}
	return kind, object, err
}

// page is one of a list: its items as they came.
func page(data []byte) (metav1.ListMeta, [][]byte, error) {
	parts := struct {
		Metadata metav1.ListMeta   `json:"metadata"`
		Items    []json.RawMessage `json:"items"`
	}{}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(data, &parts); err != nil {
		return metav1.ListMeta{}, nil, fmt.Errorf("reading the list of PubSubChannels: %w", err)
	}
	items := make([][]byte, len(parts.Items))
	for i, item := range parts.Items {
		items[i] = item
	}
	return parts.Metadata, items, nil
}
