package ownership

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/applyconfigurations"
	"sigs.k8s.io/structured-merge-diff/v6/schema"
)

// Where nothing but {} is owned, the name alone tells whether that is a value as a whole.
func TestSelectorsAreThoseOfTheSchema(t *testing.T) {
	scheme := runtime.NewScheme()
	require.NoError(t, appsv1.AddToScheme(scheme))
	typed, err := applyconfigurations.NewTypeConverter(scheme).ObjectToTyped(&appsv1.Deployment{
		TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
	})
	require.NoError(t, err)
	found := map[string]bool{}
	var walk func(ref schema.TypeRef)
	walk = func(ref schema.TypeRef) {
		atom, ok := typed.Schema().Resolve(ref)
		switch {
		case !ok:
		case atom.List != nil:
			walk(atom.List.ElementType)
		case atom.Map != nil:
			for _, field := range atom.Map.Fields {
				selector := field.Type.NamedType != nil && strings.HasSuffix(*field.Type.NamedType, ".LabelSelector")
				if selector {
					inner, _ := typed.Schema().Resolve(field.Type)
					assert.Equal(t, schema.Atomic, inner.Map.ElementRelationship)
					found[field.Name] = true
				}
				assert.Equal(t, selector, selectors[field.Name], field.Name)
				walk(field.Type)
			}
		}
	}
	walk(typed.TypeRef())
	assert.Equal(t, selectors, found)
}
