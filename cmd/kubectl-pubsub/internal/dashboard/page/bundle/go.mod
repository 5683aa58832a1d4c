// The dashboard's bundler. A module of its own, because nothing else needs esbuild.
module github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/page/bundle

go 1.26.0

require github.com/evanw/esbuild v0.28.2

require golang.org/x/sys v0.0.0-20220715151400-c0bba94af5f8 // indirect
