package rest

// Limits, for tests that reach them.
const (
	MaxReaders = maxReaders
	MaxQueue   = maxQueue
	MaxStreams = maxStreams
)
