# A Rack application for puma and unicorn.

# The halves of a page, with its pause between them.
class Page
  def initialize(number)
    text = "#{number}\n" * 1024
    @first = text[0, text.length / 2]
    @second = text[@first.length..]
    @pause = number >= 1_000_000 ? 0.5 : number % 200 == 0 ? 1 : 0
  end

  def length
    @first.length + @second.length
  end

  def each
    yield @first
    sleep @pause if @pause > 0
    yield @second
  end
end

run(lambda do |env|
  page = Page.new(env['PATH_INFO'].delete('/').to_i)
  [200, { 'Content-Type' => 'text/plain', 'Content-Length' => page.length.to_s, 'x-pid' => Process.pid.to_s }, page]
end)
