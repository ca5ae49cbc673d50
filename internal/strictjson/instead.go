package strictjson

import "strings"

// forms are how texts begin that are given instead of JSON.
var forms = []struct{ prefix, name string }{
	{"\ufeff", "begins with a byte order mark"},
	{"\xff\xfe", "is UTF-16, want UTF-8"},
	{"\xfe\xff", "is UTF-16, want UTF-8"},
	{"\x1f\x8b", "is compressed with gzip"},
	{"<", "is HTML or XML"},
	{"-----BEGIN ", "is PEM"},
	{"[", "is an array"},
	{`"`, "is a string"},
}

// Instead says what text is that isn't the JSON object it should be, as the end of a
// sentence about it: "" if nothing is known but that. It has nothing of the text.
func Instead(text string) string {
	text = strings.TrimLeft(text, " \t\r\n")
	if text == "" {
		return "is empty"
	}
	for _, form := range forms {
		if strings.HasPrefix(text, form.prefix) {
			return form.name
		}
	}
	return ""
}
