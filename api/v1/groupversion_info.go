// Package v1 holds the API pubsub.jawaracloud.io/v1: the PubSubChannel resource.
//
// Fields, defaults, columns and labels marked below are those of the
// first operator: manifests that were written for it apply unchanged.
//
// +kubebuilder:object:generate=true
// +groupName=pubsub.jawaracloud.io
package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the API group and version of this package.
var GroupVersion = schema.GroupVersion{Group: "pubsub.jawaracloud.io", Version: "v1"}

// AddToScheme adds the types of this package to a scheme.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &PubSubChannel{}, &PubSubChannelList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
