package feed

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func membersOf(data []byte) (map[string]string, error) {
	found := map[string]string{}
	err := members(data, func(name string, value []byte) { found[name] = string(value) })
	return found, err
}

func TestMembers(t *testing.T) {
	for name, test := range map[string]struct {
		data string
		want map[string]string
	}{
		"empty":               {`{}`, map[string]string{}},
		"all kinds":           {`{"a":1,"b":"x","c":{"d":[1,{"e":"}"}]},"f":[],"g":null,"h":true,"i":-1.5e3}`, map[string]string{"a": "1", "b": `"x"`, "c": `{"d":[1,{"e":"}"}]}`, "f": "[]", "g": "null", "h": "true", "i": "-1.5e3"}},
		"spaces":              {" {\n\t\"a\" : 1 ,\r\n \"b\" : [ 1 , 2 ] } ", map[string]string{"a": "1", "b": "[ 1 , 2 ]"}},
		"quotes in texts":     {`{"a":"x\"},{\\","b":"\\\\\"","c":""}`, map[string]string{"a": `"x\"},{\\"`, "b": `"\\\\\""`, "c": `""`}},
		"a name with escapes": {`{"\u0061":1,"b":2}`, map[string]string{"b": "2"}},
		"what follows":        {"{\"a\":1}\n", map[string]string{"a": "1"}},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := membersOf([]byte(test.data))
			require.NoError(t, err)
			assert.Equal(t, test.want, found)
		})
	}
	for _, wrong := range []string{``, `[]`, `{`, `{"a"`, `{"a":`, `{"a":}`, `{"a":1`, `{"a":1,`, `{"a":"x}`, `{"a":[1}`, `{"a":1 "b":2}`, `"x"`, `{a:1}`, `{"a":\`, `{"a":,"b":1}`} {
		_, err := membersOf([]byte(wrong))
		assert.Error(t, err, wrong)
	}
}

// Of any object that encoding/json reads, it finds the same members with the same values.
func FuzzMembers(f *testing.F) {
	f.Add([]byte(`{"metadata":{"name":"a","labels":{"x":"\"y"}},"status":{"n":[1,2,{"z":"}"}]},"n":1}`))
	f.Add([]byte(` { "a" : "\\" , "b" : null } `))
	f.Add([]byte(`{"a":"\`))
	f.Fuzz(func(t *testing.T, data []byte) {
		found, err := membersOf(data) // whatever it is: no panic, and an end
		want := map[string]json.RawMessage{}
		if json.Unmarshal(data, &want) != nil || want == nil {
			return
		}
		require.NoError(t, err, "%s", data)
		for name, value := range found {
			if _, there := want[name]; !there { // bytes that are no UTF-8 are replaced
				continue
			}
			assert.Equal(t, string(want[name]), value, "%s of %s", name, data)
		}
	})
}
