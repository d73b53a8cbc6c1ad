/**
 * What stored JSON is made of, given to the packer beforehand: the likeliest at the end. Short, since the packer reads all of
 * it each time. It must never change, since what is packed with it could not be unpacked: a better one would be another form
 * of sealed values.
 */
export const dictionary = Buffer.from(
  [
    '"state_key":"","membership":"join","displayname":"","avatar_url":"mxc://"},"m.relates_to":{"event_id":"$',
    '"is_falling_back":true,"m.in_reply_to":{"rel_type":"m.thread","m.annotation","key":"m.mentions":{"user_ids":["@"]}',
    '"format":"org.matrix.custom.html","formatted_body":"","m.image","info":{"h":,"mimetype":"image/","size":,"w":}',
    '"url":"mxc://{"auth_events":["$"],"content":{"algorithm":"m.megolm.v1.aes-sha2","ciphertext":"AwgAEp","device_id":""',
    '"sender_key":"","session_id":""},"content":{"body":"","msgtype":"m.text"},"depth":1"hashes":{"sha256":""}',
    '"origin_server_ts":17,"prev_events":["$"],"room_id":"!","sender":"@","signatures":{"":{"ed25519:a_":""}}',
    '"type":"m.room.encrypted"}m.room.message"}',
  ].join(','),
)
