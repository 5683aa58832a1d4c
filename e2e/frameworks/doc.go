// Package frameworks runs job frameworks on a real redis-server, and holds the depths that the
// scaler reads of their queues against what the frameworks' own inspectors tell, step by step: asynq
// in the test itself, the others in processes of their own language (node, php, python, ruby),
// which do what the test says by lines of JSON (driver_test.go). With -table, what both counted is written as
// a table (table_test.go).
package frameworks
