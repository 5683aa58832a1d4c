package reading

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

const (
	// quantityLength is how long a quantity's text may be, in bytes: one of a megabyte takes
	// seconds to read.
	quantityLength = 64
	// quantityExponent is how many digits its exponent may have: to compare 1e99999999999
	// takes a minute and half a gigabyte of memory.
	quantityExponent = 3
)

// longExponent finds what costs too much to compute with.
var longExponent = regexp.MustCompile(fmt.Sprintf(`[eE][+-]?[0-9]{%d}`, quantityExponent+1))

// costly reports whether JSON may hold a quantity that costs too much to read. It looks at
// every text that is such a number, and knows no fields: where it reports true, the
// fields are to be looked at one by one. It allocates nothing, as it sees all that is read.
func costly(data []byte) bool {
	for {
		quote := bytes.IndexByte(data, '"')
		if quote < 0 {
			return false
		}
		data = data[quote+1:]
		digits := leading(data, "0123456789.+-")
		if digits > quantityLength {
			return true
		}
		if digits == 0 || digits == len(data) || data[digits] != 'e' && data[digits] != 'E' {
			continue
		}
		rest := bytes.TrimLeft(data[digits+1:], "+-")
		exponent := leading(rest, "0123456789")
		if exponent > quantityExponent && exponent < len(rest) && rest[exponent] == '"' {
			return true
		}
	}
}

// leading is how many bytes at the beginning are of a set.
func leading(data []byte, set string) int {
	for i, b := range data {
		if strings.IndexByte(set, b) < 0 {
			return i
		}
	}
	return len(data)
}

// TooCostly lists what of a JSON value a T can't hold, as Problems does, where it holds a
// quantity that costs too much to read; such a value must not be decoded. Otherwise it is
// empty, whatever else is wrong, and next to no work.
func TooCostly[T any](data []byte, at string) []error {
	if !costly(data) {
		return nil
	}
	return Problems[T](data, at)
}

// Problems lists what of a JSON value a T can't hold, each with the field, the value and
// the reason; at is the field that the value is of. Quantities that cost too much to read
// are among it.
func Problems[T any](data []byte, at string) []error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber() // as they are written
	var value any
	if err := decoder.Decode(&value); err != nil {
		return []error{fmt.Errorf("%s: %w", at, err)}
	}
	return problems(value, reflect.TypeFor[T](), at)
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// problems goes down to the values that a type reads as a whole, and has it read each.
func problems(value any, t reflect.Type, at string) []error {
	if value == nil {
		return nil
	}
	if t.Kind() == reflect.Pointer {
		return problems(value, t.Elem(), at)
	}
	fields, isObject := value.(map[string]any)
	items, isList := value.([]any)
	var found []error
	switch {
	case reflect.PointerTo(t).Implements(unmarshaler):
		return leaf(value, t, at)
	case t.Kind() == reflect.Struct && isObject:
		for i := range t.NumField() {
			field := t.Field(i)
			name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
			switch {
			case name == "-" || !field.IsExported():
			case name == "" && (field.Anonymous || strings.Contains(options, "inline")):
				found = append(found, problems(value, field.Type, at)...)
			default:
				found = append(found, problems(fields[name], field.Type, below(at, name))...)
			}
		}
	case t.Kind() == reflect.Map && isObject:
		for _, key := range slices.Sorted(maps.Keys(fields)) {
			found = append(found, problems(fields[key], t.Elem(), fmt.Sprintf("%s[%s]", at, key))...)
		}
	case t.Kind() == reflect.Slice && isList:
		for i, item := range items {
			found = append(found, problems(item, t.Elem(), at+"["+strconv.Itoa(i)+"]")...)
		}
	default:
		return leaf(value, t, at)
	}
	return found
}

func below(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}

// leaf tries one value.
func leaf(value any, t reflect.Type, at string) []error {
	data, err := json.Marshal(value)
	if err != nil {
		return []error{fmt.Errorf("%s: %w", at, err)}
	}
	shown := string(data)
	if len(shown) > quantityLength {
		shown = strings.ToValidUTF8(shown[:quantityLength], "") + "…"
	}
	if text, ok := value.(string); ok && t == reflect.TypeFor[resource.Quantity]() {
		if len(text) > quantityLength || longExponent.MatchString(text) {
			return []error{fmt.Errorf("%s is %s: a quantity has at most %d characters, and %d digits in its exponent: write it as 500m, 1.5 or 128Mi, for example",
				at, shown, quantityLength, quantityExponent)}
		}
	}
	if err := json.Unmarshal(data, reflect.New(t).Interface()); err != nil {
		return []error{fmt.Errorf("%s is %s: %w", at, shown, err)}
	}
	return nil
}
