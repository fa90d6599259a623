"""What the guests are made of, in assembly: a greeting, and a body each.

The bytes of these programs mean the same in 32 and in 64 bits: no stack, no absolute address,
none of the short forms whose bytes became prefixes.
"""

PORT, FIFO_CONTROL, LINE_CONTROL, LINE_STATUS = 0x3F8, 0x3FA, 0x3FB, 0x3FD
"""The first serial port of a PC: data, FIFO control, line control, line status."""
FIRST, LAST = 1, 126
"""The values that are fed and written, in order, round and round."""
COUNT_BIT = 0x80
NOWHERE = 0xD0000FFE
"""Four bytes from here cross a page, and no device of these machines answers there."""

GREET = """
        mov dx, FIFO_CONTROL
        mov al, 1                   ; FIFOs on
        out dx, al
        mov dx, PORT
        mov esi, greeting
greet:  mov al, [esi]
        out dx, al
        add esi, 1
        cmp al, 0x0a
        jne greet
        mov ebx, 0                  ; bl: the count's bit, bh: the next value
        mov bh, 1
next:
"""

READER = """
        mov dx, LINE_STATUS
wait:   in al, dx
        test al, 1                  ; a byte is there
        je wait
        mov dx, PORT
        in al, dx                   ; and is popped
        and al, 0x7f
        xor al, bl
        out dx, al
        xor bl, 0x80
        jmp next
"""

WRITER = """
        mov dx, PORT
        mov al, bh
        xor al, bl
        out dx, al
        xor bl, 0x80
        add bh, 1
        cmp bh, LAST+1
        jne next
        mov bh, 1
        jmp next
"""


STRING = """
        mov dx, LINE_STATUS
wait:   in al, dx
        test al, 1
        je wait
        mov dx, PORT
        mov edi, cell
        insb                        ; popped, and stored by the completion
        mov esi, cell
        mov al, [esi]
        and al, 0x7f
        xor al, bl
        out dx, al
        xor bl, 0x80
        jmp next
cell:   db 0
"""

WIDE = """
        mov dx, PORT
        mov al, bh
        xor al, bl
        out dx, al
        xor bl, 0x80
        mov ecx, 64
        mov esi, NOWHERE
load:   mov eax, [esi]              ; two exits
        sub ecx, 1
        jne load
        add bh, 1
        cmp bh, LAST+1
        jne next
        mov bh, 1
        jmp next
"""

POLLING = """
        mov dx, PORT
poll:   in al, dx                   ; popped, or 0 if nothing is there
        and al, 0x7f
        je poll
        xor al, bl
        out dx, al
        xor bl, 0x80
        jmp poll
"""

BURST = f"""
        mov dx, PORT
        mov esi, values
        mov ecx, LAST
        rep outsb                   ; an exit a byte
        jmp next
values: db {", ".join(str(v | (v - FIRST) % 2 * COUNT_BIT) for v in range(FIRST, LAST + 1))}
"""

UPDATE = WIDE.replace(
    "mov eax, [esi]              ; two exits", "add [esi], al               ; a read and a write"
)

INDEXED = """
        mov dx, LINE_CONTROL
        mov al, 0x83                ; now the data port shows the divisor
        out dx, al
        mov dx, PORT
        mov al, bh
        out dx, al
        in al, dx
        mov cl, al
        mov dx, LINE_CONTROL
        mov al, 3
        out dx, al
        mov dx, PORT
        mov al, cl
        xor al, bl
        out dx, al                  ; what the divisor was
        xor bl, 0x80
        add bh, 1
        cmp bh, LAST+1
        jne next
        mov bh, 1
        jmp next
"""

DIVIDE = """
        mov dx, LINE_STATUS
wait:   in al, dx
        test al, 1
        je wait
        mov dx, PORT
        in al, dx
        and al, 0x7f
        mov cl, al
        mov eax, 126
        div cl                      ; by nothing, if the FIFO had nothing
        mov al, cl
        xor al, bl
        out dx, al
        xor bl, 0x80
        jmp next
"""
