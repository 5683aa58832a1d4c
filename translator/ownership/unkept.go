package ownership

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Unkept are the JSON paths of what is desired of an object and is not there, or otherwise.
func Unkept(desired map[string]any, live client.Object) ([]string, error) {
	current, err := runtime.DefaultUnstructuredConverter.ToUnstructured(live)
	if err != nil {
		return nil, fmt.Errorf("converting %s: %w", live.GetName(), err)
	}
	stored, err := asStored(desired, live)
	if err != nil {
		return nil, err
	}
	return Differences(WithoutIdentity(stored), current, ""), nil
}

// Differences are the JSON paths of what is desired and is not there, or otherwise.
func Differences(desired, current any, at string) (paths []string) {
	switch desired := desired.(type) {
	case map[string]any:
		there, ok := current.(map[string]any)
		if !ok {
			return []string{at}
		}
		for _, key := range slices.Sorted(maps.Keys(desired)) {
			paths = append(paths, Differences(desired[key], there[key], strings.TrimPrefix(at+"."+key, "."))...)
		}
	case []any:
		there, ok := current.([]any)
		if !ok || len(there) < len(desired) {
			return []string{at}
		}
		for i, item := range desired {
			paths = append(paths, Differences(item, counterpart(item, there, i), at+"["+strconv.Itoa(i)+"]")...)
		}
	default:
		if !reflect.DeepEqual(desired, current) {
			return []string{at}
		}
	}
	return paths
}

// counterpart is the item of the same name, or else the one at the same place: others may
// have put theirs in between.
func counterpart(item any, list []any, i int) any {
	if fields, ok := item.(map[string]any); ok && fields["name"] != nil {
		for _, other := range list {
			if other, ok := other.(map[string]any); ok && other["name"] == fields["name"] {
				return other
			}
		}
	}
	return list[i]
}
