// Package strictjson reads JSON (RFC 8259) so that no two decoders can disagree
// about what was read. Tokens, reviews and pods are attacked by texts that the
// checker and the user of a value read differently, so what is only an
// interoperability warning in the RFC is an error here: duplicate names,
// invalid UTF-8, unpaired surrogates, anything after the value, and, where the
// caller says so, names that differ from known ones only in case.
//
// # Reading
//
// A [Scanner] goes over a text once, from start to end:
//
//	s := strictjson.Scanner{Source: body, MaxDepth: 32}
//	for name := range s.Members {
//		switch name {
//		case "kind":
//			kind = s.Text()
//		case "items":
//			for range s.Elements {
//				items = append(items, s.Text())
//			}
//		}
//	}
//	if err := s.End(); err != nil {
//
// Values that the body of a loop doesn't read are checked and skipped. There is
// one place for errors: after the first, nothing more is found, loops end, and
// [Scanner.End] returns it. Nothing that was read counts before End returned
// nil. Neither reading nor skipping allocates, except for strings with escapes
// and objects of more than 24 names.
//
// # Looking up
//
// [Check] checks an object without reading it. [Members], [Elements], [Text] and
// [Integer] look values up in a text that was checked.
//
// # Cost
//
// Time is linear in the length of the text, and memory is bounded by it,
// whatever the text holds. The depth of recursion is MaxDepth.
package strictjson
