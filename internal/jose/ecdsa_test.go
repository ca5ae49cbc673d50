package jose

import (
	"bytes"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"math/big"
	"testing"
)

// asn1Signature is how encoding/asn1 reads and writes an ECDSA signature.
type asn1Signature struct{ R, S *big.Int }

// The two spellings of a signature, whatever its numbers are.
func TestECDSASpelling(t *testing.T) {
	numbers := func(size int) []*big.Int {
		full := new(big.Int).Lsh(big.NewInt(1), uint(8*size))
		return []*big.Int{
			new(big.Int), big.NewInt(1), big.NewInt(127), big.NewInt(128), big.NewInt(255), big.NewInt(256),
			new(big.Int).Lsh(big.NewInt(1), uint(8*size)-40), new(big.Int).Lsh(big.NewInt(1), uint(8*size)-48), // on P-521, 128 and 127 bytes together
			new(big.Int).Rsh(full, 1), new(big.Int).Rsh(full, 9), full.Sub(full, big.NewInt(1)),
		}
	}
	for _, size := range []int{32, 48, 66} {
		for _, r := range numbers(size) {
			for _, s := range numbers(size) {
				flat := append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
				der, err := asn1.Marshal(asn1Signature{r, s})
				if err != nil {
					t.Fatal(err)
				}
				got := toASN1(nil, flat, size)
				if !bytes.Equal(got, der) || len(got) > maxASN1Bytes {
					t.Errorf("toASN1(%x) = %x; want %x", flat, got, der)
				}
				back, err := fromASN1([]byte("x"), der, size)
				if err != nil || !bytes.Equal(back, append([]byte("x"), flat...)) {
					t.Errorf("fromASN1(%x) = %x, %v; want x and %x", der, back, err, flat)
				}
			}
		}
		for _, length := range []int{0, 1, size, 2*size - 1, 2*size + 1} {
			if der := toASN1(nil, make([]byte, length), size); der != nil {
				t.Errorf("toASN1(%d bytes) = %x, want none", length, der)
			}
		}
	}
}

// SECURITY J08, M07: what isn't two numbers of the size of the curve.
func TestECDSASpellingRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":             "",
		"one byte":            "30",
		"another tag":         "3106020101020101",
		"no numbers":          "3000",
		"one number":          "3003020101",
		"three numbers":       "3009020101020101020101",
		"trailing byte":       "300602010102010100",
		"cut short":           "30060201010201",
		"indefinite length":   "3080020101020101",
		"length of two bytes": "308200060201010201010000",
		"length cut off":      "3081",
		"no string":           "3006040101020101",
		"empty number":        "300502000201" + "01",
		"negative number":     "3006020180020101",
		"number too long":     "3026" + "0221" + "01" + "0000000000000000000000000000000000000000000000000000000000000000" + "020101",
		"number past the end": "30060201010205" + "01",
	} {
		der, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := fromASN1(nil, der, 32); !errors.Is(err, errASN1) {
			t.Errorf("%s: fromASN1() = %x, %v; want errASN1", name, got, err)
		}
	}
}

// A length of more than 127 bytes takes two bytes.
func TestECDSASpellingLength(t *testing.T) {
	number := new(big.Int).Lsh(big.NewInt(1), 8*61)
	der := written(t, asn1Signature{number, number})
	if der[1] != 0x81 || der[2] != 0x80 {
		t.Fatalf("encoding/asn1 writes %x", der)
	}
	if got, err := fromASN1(nil, append([]byte{0x30}, der[2:]...), 66); !errors.Is(err, errASN1) {
		t.Errorf("fromASN1() = %x, %v; want errASN1", got, err)
	}
}

func written(t *testing.T, signature asn1Signature) []byte {
	t.Helper()
	der, err := asn1.Marshal(signature)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// What encoding/asn1 reads is read alike, if it is of the size of the curve and as
// encoding/asn1 writes it: that lets more follow inside of the sequence.
func FuzzFromASN1(f *testing.F) {
	f.Add([]byte{0x30, 6, 2, 1, 1, 2, 1, 1})
	f.Add([]byte{0x30, 0x81, 6, 2, 1, 1, 2, 1, 1})
	f.Add([]byte{0x30, 7, 2, 2, 0, 0x80, 2, 1, 1})
	f.Add([]byte{0x30, 7, 2, 1, 1, 2, 1, 1, 0})
	f.Fuzz(func(t *testing.T, der []byte) {
		const size = 66
		got, err := fromASN1(nil, der, size)
		var want asn1Signature
		rest, wantErr := asn1.Unmarshal(der, &want)
		switch valid := wantErr == nil && len(rest) == 0 && want.R.Sign() >= 0 && want.S.Sign() >= 0 && want.R.BitLen() <= 8*size && want.S.BitLen() <= 8*size; {
		case err != nil && valid && bytes.Equal(der, written(t, want)):
			t.Errorf("fromASN1(%x) = %v, encoding/asn1 reads it", der, err)
		case err == nil && len(got) != 2*size:
			t.Errorf("fromASN1(%x) = %d bytes, want %d", der, len(got), 2*size)
		case err == nil && valid && (new(big.Int).SetBytes(got[:size]).Cmp(want.R) != 0 || new(big.Int).SetBytes(got[size:]).Cmp(want.S) != 0):
			t.Errorf("fromASN1(%x) = %x, encoding/asn1 reads %v", der, got, want)
		}
	})
}
