package webhook

import "context"

// Review returns the answer of h to a review, until ctx is done.
func Review(ctx context.Context, h *Handler, body string) ([]byte, error) {
	return h.review(ctx, body, new(Event))
}
