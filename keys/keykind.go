package keys

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
)

// kinds are the algorithms of keys that are not used.
var kinds = map[string]string{
	"1.2.840.113549.1.1.10":   "an RSA key for PSS only, want one for any padding",
	"1.2.840.10040.4.1":       "a DSA key" + wantKey,
	"1.3.101.110":             "an X25519 key" + wantKey,
	"1.3.101.111":             "an X448 key" + wantKey,
	"1.3.101.112":             "an Ed25519 key" + wantKey,
	"1.3.101.113":             "an Ed448 key" + wantKey,
	"2.16.840.1.101.3.4.3.17": "an ML-DSA key" + wantKey,
	"2.16.840.1.101.3.4.3.18": "an ML-DSA key" + wantKey,
	"2.16.840.1.101.3.4.3.19": "an ML-DSA key" + wantKey,

	"1.2.840.113549.1.1.1": "an RSA key that is damaged or has an unusable exponent",
}

const wantKey = ", want an RSA or ECDSA key"

// keyKind says what the key is that der holds, which is none that can be read, and what
// to do: "" if that can't be told.
func keyKind(der []byte) string {
	var public struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &public); err == nil {
		if public.Algorithm.Algorithm.String() == ecdsaAlgorithm {
			return publicCurveKind(public.Algorithm.Parameters, public.Key.Bytes)
		}
		return kinds[public.Algorithm.Algorithm.String()]
	}
	var private struct {
		Version   int
		Algorithm pkix.AlgorithmIdentifier
		Key       []byte
	}
	if _, err := asn1.Unmarshal(der, &private); err == nil {
		if private.Algorithm.Algorithm.String() == ecdsaAlgorithm {
			return privateCurveKind(private.Algorithm.Parameters)
		}
		return kinds[private.Algorithm.Algorithm.String()]
	}
	var sec1 struct {
		Version int
		Key     []byte
		Curve   asn1.RawValue `asn1:"optional,explicit,tag:0"`
	}
	if _, err := asn1.Unmarshal(der, &sec1); err == nil {
		var curve asn1.RawValue
		_, _ = asn1.Unmarshal(sec1.Curve.Bytes, &curve) // stays empty if there is none
		return privateCurveKind(curve)
	}
	if cert, err := x509.ParseCertificate(der); err == nil {
		return keyKind(cert.RawSubjectPublicKeyInfo)
	}
	return ""
}

// The forms of ECDSA keys (RFC 5480).
const (
	ecdsaAlgorithm = "1.2.840.10045.2.1"
	damagedECDSA   = "an ECDSA key that is damaged"
	numberedECDSA  = "an ECDSA key with the numbers of its curve instead of the name"
)

func publicCurveKind(curve asn1.RawValue, point []byte) string {
	switch kind := curveKind(curve); {
	case kind == numberedECDSA:
		return kind + ": convert it with openssl ec -pubin -in FILE -pubout -param_enc named_curve"
	case kind == damagedECDSA && (bytes.HasPrefix(point, []byte{2}) || bytes.HasPrefix(point, []byte{3})):
		return "an ECDSA key with a compressed point: convert it with openssl ec -pubin -in FILE -pubout -conv_form uncompressed"
	default:
		return kind
	}
}

func privateCurveKind(curve asn1.RawValue) string {
	kind := curveKind(curve)
	if kind == numberedECDSA {
		kind += ": convert it with openssl ec -in FILE -param_enc named_curve"
	}
	return kind
}

// curveKind says what is wrong with the curve of a key.
func curveKind(curve asn1.RawValue) string {
	if curve.Tag == asn1.TagSequence {
		return numberedECDSA
	}
	var name asn1.ObjectIdentifier
	_, _ = asn1.Unmarshal(curve.FullBytes, &name) // stays empty if it is none
	switch name.String() {
	case "":
		return "an ECDSA key without the name of its curve"
	case "1.2.840.10045.3.1.7", "1.3.132.0.34", "1.3.132.0.35":
		return damagedECDSA
	}
	return "an ECDSA key on a curve that is none of P-256, P-384 and P-521"
}
