# frozen_string_literal: true

# The jobs that Sidekiq's workers run, each of which waits for its outcome.
require "json"
require "redis"
require "redis-namespace"
require "sidekiq"

argument = JSON.parse(ENV.fetch("DRIVER"))
node = argument.fetch("nodes").first
URL = "redis://#{node["host"]}:#{node["port"]}"
OUTCOMES = Redis.new(url: "#{URL}/1") # in another database than the queues

# NoneIsDue leaves what is due where it is.
class NoneIsDue
  def enqueue_jobs; end
end

redis = { url: "#{URL}/0" }
redis[:namespace] = argument["prefix"] unless argument["prefix"].to_s.empty?
Redis.silence_deprecations = true
Sidekiq.logger.level = Logger::FATAL
Sidekiq.configure_client { |config| config.redis = redis }
Sidekiq.configure_server do |config|
  config.redis = redis
  config.options[:scheduled_enq] = NoneIsDue
  # A heartbeat every 5 s would make the tests long.
  Sidekiq::Launcher.send(:remove_const, :BEAT_PAUSE)
  Sidekiq::Launcher.const_set(:BEAT_PAUSE, 0.2)
end

# Work is any job.
class Work
  include Sidekiq::Worker
  sidekiq_options retry: 1
  sidekiq_retry_in { 3600 }

  def perform
    connection = OUTCOMES.dup
    _, outcome = connection.blpop("outcomes")
    connection.close
    raise outcome unless outcome.empty?
  end
end
