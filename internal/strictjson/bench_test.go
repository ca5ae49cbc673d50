package strictjson_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/kubesa/serviceaccount/internal/strictjson"
)

// claims are those of a bound token, of the usual size.
const claims = `{"aud":["https://kubernetes.default.svc.cluster.local"],"exp":1767229207,"iat":1735693207,"iss":"https://kubernetes.default.svc.cluster.local","jti":"0a4b2d1e-3f0b-4c9c-9a34-1d6f3f5f0c11","kubernetes.io":{"namespace":"default","node":{"name":"node-1","uid":"4bff7c8e-8a6f-4b4e-9a84-b2f7b83a6c0d"},"pod":{"name":"web-7d4b9c6f5-x2x9k","uid":"7a1c9d7e-7b0e-4a3d-8a3f-52b8c6a1f0de"},"serviceaccount":{"name":"web","uid":"f3e9f0a2-5f0e-4a52-8f7c-0c0a7c2d8e11"},"warnafter":1735696814},"nbf":1735693207,"sub":"system:serviceaccount:default:web"}`

var reserved = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "kubernetes.io", "namespace", "serviceaccount", "pod", "secret", "node", "name", "uid"}

// size is the length of the largest text that a user can send.
const size = 3 << 20

// hostile are texts that are dear to careless readers.
var hostile = map[string]string{
	"claims":           claims,
	"many names":       `{` + manyNames() + `}`,
	"nested objects":   `{"a":[` + repeated(strings.Repeat(`{"a":`, 200)+"0"+strings.Repeat("}", 200)) + `]}`,
	"small objects":    `{"a":[` + repeated(`{"a":0}`) + `]}`,
	"escapes":          `{"a":"` + strings.Repeat(`\u00e9`, size/6) + `"}`,
	"surrogate pairs":  `{"a":"` + strings.Repeat(`\ud83d\ude00`, size/12) + `"}`,
	"not ASCII":        `{"a":"` + strings.Repeat("日本", size/6) + `"}`,
	"numbers":          `{"a":[` + repeated("1.5e-9") + `]}`,
	"white space":      strings.Repeat(" ", size) + `{}`,
	"reserved letters": `{"a":[` + repeated(`{"n":0,"s":0,"k":0,"i":0}`) + `]}`,
}

func repeated(element string) string {
	n := size / (len(element) + 1)
	return strings.Repeat(element+",", n-1) + element
}

func manyNames() string {
	const digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"` + string([]byte{digits[i&63], digits[i>>6&63], digits[i>>12&63], digits[i>>18&63]}) + `":1`)
	}
	return b.String()
}

func BenchmarkCheck(b *testing.B) {
	for name, text := range hostile {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if err := strictjson.Check(text, 256, reserved); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// The same with encoding/json, which checks less.
func BenchmarkValid(b *testing.B) {
	data := []byte(claims)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if !json.Valid(data) {
			b.Fatal("not valid")
		}
	}
}
