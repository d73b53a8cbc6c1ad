/**
 * What stored JSON is made of, given to the packer beforehand: the likeliest at the end. It must never change, since what is
 * packed with it could not be unpacked: a better one would be another form of sealed values.
 */
export const dictionary = Buffer.from(
  [
    '{"alias":"#","aliases":[],"algorithm":"m.megolm.v1.aes-sha2","allow":[{"room_id":"!","type":"m.room_membership"}]',
    '"ban":50,"events":{"m.room.avatar":50,"m.room.canonical_alias":50,"m.room.encryption":100,"m.room.history_visibility":100',
    '"m.room.name":50,"m.room.power_levels":100,"m.room.server_acl":100,"m.room.tombstone":150},"events_default":0,"invite":0',
    '"kick":50,"notifications":{"room":50},"redact":50,"state_default":50,"users":{"@":100},"users_default":0',
    '"creator":"@","room_version":"12","history_visibility":"shared","invited","joined","join_rule":"invite","public"',
    '"restricted","guest_access":"can_join","name":"","topic":"","m.topic":{"m.text":[{"body":""}]},"predecessor":{"event_id":"$',
    '"membership":"join","leave","invite","is_direct":true,"avatar_url":"mxc://","displayname":"","reason":""',
    '"io.element.functional_members","org.matrix.msc1767.text","org.matrix.msc3401.call.member","m.call.invite"',
    '"file":{"hashes":{"sha256":"","iv":"","key":{"alg":"A256CTR","ext":true,"k":"","key_ops":["encrypt","decrypt"],"kty":"oct"}',
    '"url":"mxc://","v":"v2"},"filename":"","info":{"h":,"w":,"mimetype":"image/jpeg","image/png","size":,"thumbnail_info":{',
    '"thumbnail_url":"mxc://","xyz.amorgan.blurhash":""},"m.image","m.file","m.video","m.audio","m.notice","m.emote"',
    '"max_lifetime":86400000,"m.room.retention","m.room.redaction","redacts":"$","m.reaction","key":"👍","rel_type":"m.annotation"',
    '"m.new_content":{"body":"","msgtype":"m.text"},"m.replace","is_falling_back":true,"m.in_reply_to":{"event_id":"$"}',
    '"rel_type":"m.thread"},"type":"m.room.member","type":"m.room.create","type":"m.room.name","type":"m.room.topic"',
    '{"auth_events":["$","$","$"],"content":{"algorithm":"m.megolm.v1.aes-sha2","ciphertext":"AwgAEp","device_id":"","m.relates_to":{',
    '"sender_key":"","session_id":""},"depth":,"hashes":{"sha256":"},"type":"m.room.encrypted"}',
    '{"auth_events":["$","$"],"content":{"body":"","format":"org.matrix.custom.html","formatted_body":"<p>","m.mentions":{"user_ids":["@',
    '"msgtype":"m.text"},"depth":1,"hashes":{"sha256":""},"origin_server_ts":17,"prev_events":["$"],"room_id":"!","sender":"@',
    '"signatures":{"":{"ed25519:a_":""}},"state_key":"","type":"m.room.message"}',
  ].join(','),
)
