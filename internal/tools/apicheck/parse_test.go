package apicheck

import "testing"

func TestParse(t *testing.T) {
	for line, want := range map[string]string{
		"- ./keys.Removed: removed":                            "keys.Removed",
		"- ./keys/external.(*Both[K, V]).Method: removed":      "external.Both.Method",
		"- Server.Field: changed from T to *T":                 "grpc.Server.Field",
		"- (*Client).Close: removed":                           "grpc.Client.Close",
		"- package example.com/x/keys/gone: removed":           "gone",
		`- ./keys.Curve: value changed from "a: b" to "c"`:     "keys.Curve",
		"- something else":                                     "",
		"  - ./fake.Func: changed from func(int) to func(any)": "fake.Func",
	} {
		list := parse("example.com/x/grpc", "Incompatible changes:\n"+line+"\n")
		if len(list) != 1 || list[0].Name != want {
			t.Errorf("parse(%q) = %+v, want one change, of %q", line, list, want)
		}
	}
}
