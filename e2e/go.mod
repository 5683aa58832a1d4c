// The end-to-end tests and their test cluster. A module of its own, so that nothing
// that only a test needs becomes a dependency of the product.
module github.com/jawaracloud/pubsub-operator/e2e

go 1.26.0

require github.com/google/go-containerregistry v0.22.1

require (
	github.com/google/go-cmp v0.7.0 // indirect
	github.com/klauspost/compress v1.19.2 // indirect
	github.com/opencontainers/go-digest v1.0.0 // indirect
	github.com/opencontainers/image-spec v1.1.1 // indirect
)

replace github.com/jawaracloud/pubsub-operator => ../
