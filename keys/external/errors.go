package external

import "github.com/kubesa/serviceaccount/internal/configerror"

// A ConfigError is one mistake in a [SignerConfig] or a [ServerConfig]. It has the
// fields Config, Field and Problem. Only another config helps.
type ConfigError = configerror.Error
