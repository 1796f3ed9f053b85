-- The page for HAProxy: both halves, with the page's pause between them.
core.register_service('page', 'http', function(applet)
  local number = tonumber(applet.path:match('%d+'))
  local text = (number .. '\n'):rep(1024)
  local middle = #text // 2
  applet:set_status(200)
  applet:add_header('Content-Type', 'text/plain')
  applet:add_header('Content-Length', tostring(#text))
  applet:start_response()
  applet:send(text:sub(1, middle))
  if number >= 1000000 then
    core.msleep(500)
  elseif number % 200 == 0 then
    core.msleep(1000)
  end
  applet:send(text:sub(middle + 1))
end)
