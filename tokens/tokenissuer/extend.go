package tokenissuer

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/kubesa/serviceaccount/tokens/internal/payload"
)

// A ClaimsExtender returns claims to add to the bound token that req asks for;
// [tokens.ClaimOf] reads them back. It may deny the request with an error. A claim
// of a name that means something in service-account tokens is rejected
// with a [*RequestError], also if it differs only in case; likewise what
// encoding/json can't encode, and more than 4 KiB. It must be safe for
// concurrent use and not change req.
type ClaimsExtender func(ctx context.Context, req Request) (map[string]any, error)

// maxExtraBytes bounds the extra claims of a token.
const maxExtraBytes = 4 << 10

// extend returns the extra claims for req, sorted by name.
func (i *Issuer) extend(ctx context.Context, req Request) ([]payload.Extra, error) {
	if i.cfg.Extend == nil {
		return nil, nil
	}
	added, err := i.cfg.Extend(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("tokenissuer: extending the claims: %w", err)
	}
	var extra []payload.Extra
	size := 0
	for _, name := range slices.Sorted(maps.Keys(added)) {
		if name == "" || !utf8.ValidString(name) || payload.IsReserved(name) {
			return nil, &RequestError{"Config.Extend", fmt.Sprintf("claim %q is reserved or no name", name)}
		}
		value, err := canonical(added[name])
		if err != nil {
			return nil, &RequestError{"Config.Extend", fmt.Sprintf("claim %q, a %T, can't be encoded as JSON", name, added[name])}
		}
		if size += len(name) + len(value); size > maxExtraBytes {
			return nil, &RequestError{"Config.Extend", "claims of more than 4 KiB"}
		}
		extra = append(extra, payload.Extra{Name: name, Value: value})
	}
	return extra, nil
}

// canonical returns value in JSON with the names of its objects in byte order
// (TOK-2).
func canonical(value any) ([]byte, error) {
	text, _ := json.Marshal(value) // Decode fails without a text
	var generic any
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&generic); err != nil {
		return nil, err
	}
	return json.Marshal(generic)
}
