// Package reading decodes PubSubChannels each by itself, so that one that no program can
// decode is told of, and keeps nobody from reading the others. It does no I/O.
package reading

import (
	"encoding/json"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "sigs.k8s.io/json"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// AnnotationUnreadable is on a channel that could not be decoded, and says why. It is never
// written to the API server, and what somebody writes there under this name is not read.
const AnnotationUnreadable = "pubsub.jawaracloud.io/unreadable"

// Unreadable says why a channel could not be decoded; it is empty for one that was. Of such
// a channel only the metadata counts.
func Unreadable(channel *v1.PubSubChannel) string { return channel.Annotations[AnnotationUnreadable] }

// Channel decodes one channel from JSON. One that can't be decoded has its metadata, its
// status where that can be read, and a message for Unreadable; an error means that not even its
// metadata can be.
func Channel(data []byte) (*v1.PubSubChannel, error) {
	channel := &v1.PubSubChannel{}
	problem := undecodable(data, channel)
	if problem == nil {
		delete(channel.Annotations, AnnotationUnreadable)
		return channel, nil
	}
	parts := struct {
		metav1.TypeMeta `json:",inline"`
		Metadata        metav1.ObjectMeta `json:"metadata"`
		Status          json.RawMessage   `json:"status"`
	}{}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(data, &parts); err != nil {
		return nil, fmt.Errorf("reading the metadata of a PubSubChannel: %w", err)
	}
	channel = &v1.PubSubChannel{TypeMeta: parts.TypeMeta, ObjectMeta: parts.Metadata}
	if channel.Annotations == nil {
		channel.Annotations = map[string]string{}
	}
	channel.Annotations[AnnotationUnreadable] = problem.Error()
	if err := kjson.UnmarshalCaseSensitivePreserveInts(parts.Status, &channel.Status); len(parts.Status) == 0 || err != nil {
		channel.Status = v1.PubSubChannelStatus{}
	}
	return channel, nil
}

// undecodable decodes into a channel, and says what is in the way, field by field.
func undecodable(data []byte, channel *v1.PubSubChannel) error {
	if err := told(TooCostly[v1.PubSubChannel](data, "")); err != nil {
		return err
	}
	err := kjson.UnmarshalCaseSensitivePreserveInts(data, channel)
	if err == nil {
		return nil
	}
	if named := told(Problems[v1.PubSubChannel](data, "")); named != nil {
		return named
	}
	return err
}

// mostTold is how many faults of a channel are told: a list may have thousands.
const mostTold = 5

// told is one error of several; nil of none.
func told(faults []error) error {
	if more := len(faults) - mostTold; more > 0 {
		faults = append(faults[:mostTold:mostTold], fmt.Errorf("and %d more", more))
	}
	return errors.Join(faults...)
}

// list decodes a list item by item.
func list(data []byte) (*v1.PubSubChannelList, error) {
	parts := struct {
		metav1.TypeMeta `json:",inline"`
		Metadata        metav1.ListMeta   `json:"metadata"`
		Items           []json.RawMessage `json:"items"`
	}{}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(data, &parts); err != nil {
		return nil, fmt.Errorf("reading a list of PubSubChannels: %w", err)
	}
	channels := &v1.PubSubChannelList{TypeMeta: parts.TypeMeta, ListMeta: parts.Metadata, Items: make([]v1.PubSubChannel, 0, len(parts.Items))}
	for _, item := range parts.Items {
		channel, err := Channel(item)
		if err != nil {
			return nil, err
		}
		channels.Items = append(channels.Items, *channel)
	}
	return channels, nil
}

// kindOf is the kind that JSON is of.
func kindOf(data []byte) (schema.GroupVersionKind, error) {
	var head metav1.TypeMeta
	err := kjson.UnmarshalCaseSensitivePreserveInts(data, &head)
	return head.GroupVersionKind(), err
}
