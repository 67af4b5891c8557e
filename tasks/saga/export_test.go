package saga

import "context"

// Strangers is what watch does for participants that are not set any more.
func (e *Engine) Strangers(ctx context.Context) error { return e.strangers(ctx) }
