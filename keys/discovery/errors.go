package discovery

import "github.com/kubesa/serviceaccount/internal/configerror"

// A ConfigError is one mistake in a [PublisherConfig] or a [RemoteConfig]. It has the
// fields Config, Field and Problem. Only another config helps.
type ConfigError = configerror.Error
