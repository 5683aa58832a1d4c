# frozen_string_literal: true

# Drives Sidekiq for the tests in Go. Each line of its input is a request in JSON, and each line of its output the reply
# to one. It ends with its input, and its workers with it. Its argument, JSON, has the server and the namespace.
ENV["DRIVER"] = ARGV.fetch(0)
require_relative "sidekiq_jobs"
require "sidekiq/api"

WORKERS = {} # processes of one queue each

def due(set)
  set.count { |job| job.at <= Time.now }
end

def stop(queue, signal)
  worker = WORKERS.delete(queue)
  Process.kill(signal, worker)
  Process.wait(worker)
end

# Sidekiq's own client, and its API (sidekiq/api.rb).
OPERATIONS = {
  "version" => ->(_) { Sidekiq::VERSION },
  "add" => lambda do |r|
    job = { "class" => "Work", "args" => [], "queue" => r["queue"] }
    job["at"] = Time.now.to_f + r["options"]["delay"] if r["options"]
    Sidekiq::Client.push(job) && nil
  end,
  "counts" => lambda do |r|
    schedule, retries = Sidekiq::ScheduledSet.new, Sidekiq::RetrySet.new
    processes = Sidekiq::ProcessSet.new
    {
      enqueued: Sidekiq::Queue.new(r["queue"]).size,
      scheduled: schedule.size, retry: retries.size, due: due(schedule) + due(retries),
      dead: Sidekiq::DeadSet.new.size,
      processes: processes.size, busy: processes.sum { |p| p["busy"] }, quiet: processes.count(&:stopping?),
    }
  end,
  "oldest" => ->(r) { Sidekiq::Queue.new(r["queue"]).latency },
  "work" => lambda do |r|
    WORKERS[r["queue"]] = Process.spawn(
      "/usr/bin/sidekiq", "-r", File.join(__dir__, "sidekiq_jobs.rb"), "-q", r["queue"], "-c", r["concurrency"].to_s, "-t", "1",
      in: File::NULL, out: $stderr, pgroup: true
    )
    nil
  end,
  "release" => lambda do |r|
    r["count"].times { OUTCOMES.rpush("outcomes", r["error"]) }
    sleep 0.01 while OUTCOMES.exists?("outcomes") # jobs have yet to take them
    r["count"]
  end,
  "retryNow" => ->(_) { Sidekiq::RetrySet.new.first.reschedule(Time.now.to_f) && nil },
  "quiet" => ->(_) { Sidekiq::ProcessSet.new.each(&:quiet!) && nil },
  # What Redis does a minute after the last heartbeat of a process.
  "expire" => lambda do |_|
    Sidekiq::ProcessSet.new.each { |process| Sidekiq.redis { |redis| redis.del(process.identity) } } && nil
  end,
  "kill" => ->(r) { stop(r["queue"], :KILL) && nil },
  "stop" => ->(r) { stop(r["queue"], :TERM) && nil },
}

begin
  $stdin.each_line do |line|
    request = JSON.parse(line)
    reply = begin
      { result: OPERATIONS.fetch(request["operation"]).call(request) }
    rescue StandardError => e
      { error: e.full_message(highlight: false) }
    end
    puts reply.to_json
    $stdout.flush
  end
ensure
  WORKERS.each_key { |queue| stop(queue, :KILL) }
end
